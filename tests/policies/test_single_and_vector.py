"""The three faces of the environment are one: step by step they give the same."""

from typing import Any

import numpy as np

from pretraingym.env.gym_envs.single_env import ConsoleEnv
from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

STEPS = 3  # of an episode


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Same keys, and bit for bit the same values."""
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)
        assert np.asarray(one[key]).dtype == np.asarray(other[key]).dtype


def of_slot(batch: dict[str, Any]) -> dict[str, Any]:
    """The only slot's part."""
    return {key: value[0] for key, value in batch.items() if not key.startswith("_") and not key.startswith("final_")}


def test_three_faces_agree_over_two_episodes(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    given: dict[str, Any] = {"corpus": tiny_corpus.path, "setting": tiny_setting}
    one = ConsoleEnv(**given)
    many, adapted = (ConsoleVectorEnv(1, autoreset_mode="SameStep", **given) for _ in range(2))
    sb3 = SB3ConsoleVecEnv(adapted)
    sb3.seed(9)
    (seen, info), (seen_one, info_one), seen_sb3 = many.reset(seed=9), one.reset(seed=9), sb3.reset()
    assert isinstance(seen_sb3, dict)
    assert_equal(of_slot(info), info_one)
    assert_equal(of_slot(info), sb3.reset_infos[0])
    rng = np.random.default_rng(0)
    for step in range(2 * STEPS):
        assert_equal(of_slot(seen), seen_one)
        assert_equal(seen, seen_sb3)  # type: ignore[arg-type]
        action = rng.uniform(-1, 1, (1, len(many.agent_names))).astype(np.float32)
        seen, reward, terminated, truncated, info = many.step(action)
        seen_one, reward_one, terminated_one, truncated_one, info_one = one.step(action[0])
        seen_sb3, reward_sb3, done_sb3, infos_sb3 = sb3.step(action)  # type: ignore[assignment]
        done = (step + 1) % STEPS == 0
        assert reward[0] == np.float32(reward_one) == reward_sb3[0]
        assert terminated[0] == terminated_one == done_sb3[0] == done
        assert truncated[0] == truncated_one == False  # noqa: E712 - one is a bool of numpy
        last = {key: infos_sb3[0].pop(key) for key in ("terminal_observation", "TimeLimit.truncated") if done}
        assert_equal(of_slot(info["final_info"] if done else info), info_one)
        assert_equal(info_one, infos_sb3[0])
        assert ("final_obs" in info) == done
        if done:
            assert last["TimeLimit.truncated"] is False
            assert_equal(info["final_obs"][0], seen_one)
            assert_equal(last["terminal_observation"], seen_one)
            seen_one, info_one = one.reset()
            assert_equal(of_slot(info), info_one)
            assert_equal(sb3.reset_infos[0], info_one)
