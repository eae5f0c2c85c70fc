"""How fast the surrogate environment is: whole episodes a second, with observations, rewards and controls.

    python -m pretraingym.experiments.benchmarks.surrogate --num-envs 64

Last line: one JSON object with episodes_per_s (visible runs), episodes_per_cpu_s (by the process's own time: what the
first would be on idle cores) and runs_per_s (with the hidden controls), medians over `rounds` spells of `spell_s`
seconds, and the share of each part of the loop.
"""

import json
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

import numpy as np
import tyro

from ...env.gym_envs.vector_env import ConsoleVectorEnv
from ...env.settings.surrogate_setting import SurrogateSetting


@dataclass(frozen=True)
class SurrogateSpeedConfig:
    """What is timed."""

    num_envs: int = 64
    """runs at a time"""
    group_size: int = 8
    """runs that share random numbers and one hidden control"""
    rounds: int = 5
    """spells, of which the median counts"""
    spell_s: float = 4.0
    """seconds of each, or one episode if that is longer"""
    corpus: str | None = None
    """folder of a built corpus (default: the synthetic one)"""


def measure(config: SurrogateSpeedConfig) -> dict[str, object]:
    """Random actions, whole episodes."""
    env = ConsoleVectorEnv(
        config.num_envs,
        corpus=config.corpus,
        setting=SurrogateSetting(),
        group_size=config.group_size,
        autoreset_mode="SameStep",  # so that an episode takes `horizon` steps
    )
    env.reset(seed=0)
    rng, episode = np.random.default_rng(0), env.runs.episode
    rates, cpu_rates = [], []
    for _ in range(config.rounds):
        begun, begun_cpu, episodes = perf_counter(), process_time(), 0
        while not episodes or perf_counter() - begun < config.spell_s:
            for _ in range(env.horizon):
                env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))
            episodes += config.num_envs
        rates.append(episodes / (perf_counter() - begun))
        cpu_rates.append(episodes / (process_time() - begun_cpu))
    everything = sum(episode.stopwatch.seconds.values())
    return {
        "num_envs": config.num_envs,
        "episodes_per_s": round(median(rates), 1),
        "episodes_per_cpu_s": round(median(cpu_rates), 1),
        "runs_per_s": round(median(rates) * episode.num_slots / config.num_envs, 1),
        "share": {part: round(seconds / everything, 3) for part, seconds in episode.stopwatch.seconds.items()},
    }


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(SurrogateSpeedConfig, description=__doc__))))
