r"""Best-static and schedule: CMA-ES over weights that look at no observation but the clock, as rivals.

Best-static holds a weight for each family of agents throughout; schedule has `KNOTS` of each, and straight lines of
log-weights between them. Both start from even shares at the strength of the lift rule. cma_es.py says how candidates
are compared.

Settings: the first step and the number of knots are assumed.

Evidence: 192 sealed scenarios, gain over natural .151 [.118, .188] nats (best-static) and .162 [.125, .204] (schedule),
where response with as many runs has .183 (experiments/results/2026-11-28-searched/ and -wide/):

    pretraingym train-console --learn.algorithm best-static \
        --corpus runs/tasks --learn.groups 8 --learn.group-size 4 \
        --learn.distribution.vary reference pool text agents rate \
        --learn.distribution.references lambada squad code docs web wikipedia stackexchange \
        --learn.episodes 480 --learn.seed 1
    pretraingym train-console --learn.algorithm schedule \
        --corpus runs/tasks --learn.groups 8 --learn.group-size 4 \
        --learn.distribution.vary reference pool text agents rate \
        --learn.distribution.references lambada squad code docs web wikipedia stackexchange \
        --learn.episodes 480 --learn.seed 1

`experiments/results/corpora/ten-tasks.sh` builds `runs/tasks`.
"""

from stable_baselines3.common.vec_env import VecEnv

from ...env.console.action_map import ActionMap
from ..actors.actor import Actor
from ..actors.schedule_actor import ScheduleActor, ScheduleConfig
from ..baselines.constant import family
from .cma_es import CMAES
from .start import Start

SIGMA = 0.7  # first step of CMA-ES in log-odds; larger than cma_es.SIGMA, as it starts from even shares (assumed)
KNOTS = 3  # of a schedule: begin, middle and end


def even_weights(action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start) -> ScheduleActor:
    """Even weights of these agents' families, throughout."""
    return _even(action_map, agents, 1)


def even_schedule(action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start) -> ScheduleActor:
    """Even weights of these agents' families, each at every knot."""
    return _even(action_map, agents, KNOTS)


def make_search(env: VecEnv, actor: Actor, seed: int = 0) -> CMAES:
    """CMA-ES from a copy of `actor`, whose shares are even."""
    return CMAES(env, actor, SIGMA, seed)


def _even(action_map: ActionMap, agents: tuple[str, ...], knots: int) -> ScheduleActor:
    """A parameter a family of agents and knot."""
    families = tuple(sorted({family(agent) for agent in agents[1:]}))
    actor = ScheduleActor(ScheduleConfig(families, knots), action_map)
    actor.bind(agents)
    return actor
