"""That learning can show on the surrogate as it is made without arguments."""

from dataclasses import replace

import numpy as np
import pytest

from pretraingym.env.settings.toy_setting import TOY_SCENARIOS, ToySetting
from pretraingym.experiments.benchmarks.surrogate_toy import (
    SurrogateToyConfig,
    constants,
    episode_gains,
    learned,
    rules,
)

EPISODES = 200
DEVELOPMENT = replace(TOY_SCENARIOS, split="development")


@pytest.mark.filterwarnings("ignore:policy 'learned-response' may choose badly here")
def test_who_looks_is_better_than_action_0_and_any_constant_by_three_standard_errors() -> None:
    setting = ToySetting()
    task = setting.open_task()
    looking = {name: act for name, act in rules(task, EPISODES).items() if name in ("lift", "ten-tasks")}
    fixed = constants(task, setting)
    gains = episode_gains(task, setting, DEVELOPMENT, fixed | looking, EPISODES)
    assert not gains["natural"].any()
    for name in looking:
        for other in fixed:
            over_N = gains[name] - gains[other]
            assert over_N.mean() > 3 * over_N.std(ddof=1) / np.sqrt(EPISODES), (name, other)
            apart = np.sqrt((gains[name].var(ddof=1) + gains[other].var(ddof=1)) / EPISODES)  # as if not paired
            assert over_N.mean() > 3 * apart, (name, other)


@pytest.mark.soak
def test_stock_ppo_learns_it() -> None:
    setting, config = ToySetting(), SurrogateToyConfig(learn_steps=8_000)
    choose, curve = learned(config, seed=0)
    gains = episode_gains(setting.open_task(), setting, DEVELOPMENT, {"ppo": choose}, EPISODES)["ppo"]
    assert gains.mean() > 0.2
    assert curve[-1] > curve[0] + 0.08
