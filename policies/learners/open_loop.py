"""Weights that look at no observation but the clock: what best-static, regmix and schedule start from."""

from ...env.console.action_map import ActionMap
from ..actors.schedule_actor import ScheduleActor, ScheduleConfig
from ..baselines.constant import family

SIGMA = 0.7  # first step of CMA-ES in log-odds; larger than cma_es.SIGMA, as it starts from even shares (assumed)
KNOTS = 3  # of a schedule: begin, middle and end


def even_weights(action_map: ActionMap, agents: tuple[str, ...], knots: int) -> ScheduleActor:
    """Even weights of these agents' families, a parameter a family and knot."""
    families = tuple(sorted({family(agent) for agent in agents[1:]}))
    actor = ScheduleActor(ScheduleConfig(families, knots), action_map)
    actor.bind(agents)
    return actor
