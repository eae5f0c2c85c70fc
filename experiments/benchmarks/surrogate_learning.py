"""What PPO learns on the surrogate, against the best constant console, hand-made rules and the bound on any schedule.

    python -m pretraingym.experiments.benchmarks.surrogate_learning

Gains over natural at the end of a run in nats per token, the formula's own: means and standard errors over `fresh`
seeds that no search has used. The table comes with its last line as one JSON object. About two minutes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from ...env.gym_envs.vector_env import ConsoleVectorEnv
from ...env.observation.observation import Observation
from ...env.scenarios.scenario import Scenario
from ...env.settings.surrogate_setting import SurrogateSetting
from ...lm.cores import torch_threads
from ...policies.actors.actor_config import SetActorConfig
from ...policies.actors.set_actor import SetActor
from ...policies.baselines.rules import Agreement, Lift
from ...policies.learners.ppo import make_ppo
from ...policies.sb3.vec_env import SB3ConsoleVecEnv
from ..analysis.statistics import mean_and_error
from ..evaluation.optimum import Choose, best_static, constant, final_losses, scenario_bound

Array = NDArray[np.float64]
PROSE = Scenario((("prose", 1.0),), 20.0)
SETTINGS = {
    "default": SurrogateSetting(),
    "worth of text turns during the run, three static agents": SurrogateSetting(
        turn=1.0, agents=("null", "match-code", "match-prose", "quality")
    ),
}


@dataclass(frozen=True)
class SurrogateLearningConfig:
    """How long PPO learns, and from what."""

    episodes: int = 2560
    """that PPO learns from, 64 at a time"""
    learners: int = 3
    """PPO runs, each from another seed"""
    fresh: int = 64
    """seeds that the gains are means over"""
    corpus: str | None = None
    """folder of a built corpus that has the task prose (default: the synthetic one)"""


@torch_threads(1)  # the networks are tiny: more threads would only wait for each other
def measure(config: SurrogateLearningConfig) -> dict[str, dict[str, object]]:
    """Gains by the name of the surrogate."""
    return {name: _measured(config, setting) for name, setting in SETTINGS.items()}


def _measured(config: SurrogateLearningConfig, setting: SurrogateSetting) -> dict[str, object]:
    task, seeds = setting.open_task(config.corpus), list(range(1000, 1000 + config.fresh))

    def losses(choose: Choose) -> Array:
        return final_losses(task, setting, PROSE, choose, seeds)

    best_K, _, _ = best_static(task, setting, PROSE)
    natural_N = losses(constant(np.eye(len(best_K))[0]))
    row: dict[str, object] = {"best constant": _gain(natural_N - losses(constant(best_K)))}
    begun = perf_counter()
    for seed in range(config.learners):
        row[f"PPO, seed {seed}"] = _gain(natural_N - losses(learned(config, setting, seed)))
    learning_s = (perf_counter() - begun) / config.learners
    row |= {rule.name: _gain(natural_N - losses(rule.act)) for rule in (Lift(), Agreement())}
    row["bound"] = round(float(natural_N.mean()) - scenario_bound(task, setting, PROSE), 3)
    return row | {"weights": best_K.round(3).tolist(), "learning_s": round(learning_s, 1)}


def learned(config: SurrogateLearningConfig, setting: SurrogateSetting, seed: int) -> Choose:
    """The policy that PPO learns from scratch."""
    env = ConsoleVectorEnv(64, corpus=config.corpus, setting=setting, group_size=8, autoreset_mode="SameStep")
    venv = SB3ConsoleVecEnv(env)
    venv.set_options({"scenario": PROSE})
    model = make_ppo(venv, SetActor(SetActorConfig(hidden=16), env.action_map, seed), seed=seed)
    model.learn(config.episodes * env.horizon)
    actor: Callable[..., torch.Tensor] = model.policy.actor  # type: ignore[assignment]

    def choose(seen: Observation) -> Array:
        with torch.no_grad():
            action = actor(*map(torch.from_numpy, (seen.agents, seen.mask, seen.statistics)))
        return env.action_map.weights(action.numpy(), seen.mask)

    return choose


def _gain(gain_N: Array) -> str:
    return "{:.3f} +- {:.3f}".format(*mean_and_error(gain_N))


if __name__ == "__main__":
    rows = measure(tyro.cli(SurrogateLearningConfig, description=__doc__))
    for name, row in rows.items():
        print(f"\n{name}\n" + "\n".join(f"    {what:16} {value}" for what, value in row.items()))
    print(json.dumps(rows))
