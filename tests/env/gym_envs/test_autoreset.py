"""The three autoreset modes give the same episodes, and keep slots paired with their controls whatever ends when."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from pretraingym.env.gym_envs.single_env import ConsoleEnv
from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.backend import Backend
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

Make = Callable[..., ConsoleVectorEnv]
BreakModel = Callable[[Backend, int], None]
Returns = Callable[..., dict[tuple[int, int], list[float]]]
SAME, NEXT, OFF = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED
HORIZON = 3


@pytest.fixture
def make(tiny_corpus: Corpus, tiny_setting: Setting) -> Make:
    def make(num_envs: int, mode: AutoresetMode | str = SAME, **given: Any) -> ConsoleVectorEnv:
        return ConsoleVectorEnv(num_envs, corpus=tiny_corpus.path, setting=tiny_setting, autoreset_mode=mode, **given)

    return make


def action_of(slot: int, number: int, interval: int) -> np.ndarray:
    """Of a slot's step, the same in whatever company."""
    return np.random.default_rng([slot, number, interval]).uniform(-1, 1, 7).astype(np.float32)


def actions_of(env: ConsoleVectorEnv) -> np.ndarray:
    numbers, intervals = env.runs.number_of, env.runs.episode.interval_N
    return np.stack([action_of(slot, int(numbers[slot]), int(intervals[slot])) for slot in range(env.num_envs)])


@pytest.fixture
def returns(break_model: BreakModel) -> Returns:
    """Rewards by slot and run seed; at step `t` slot `broken[t]` diverges. Where autoreset is off, done slots are reset
    after every step."""

    def returns(
        env: ConsoleVectorEnv, steps: int, broken: dict[int, int], **reset: Any
    ) -> dict[tuple[int, int], list[float]]:
        env.reset(**reset)
        seen: dict[tuple[int, int], list[float]] = {}
        was_done = np.zeros(env.num_envs, bool)
        for step in range(steps):
            if step in broken:
                break_model(env.runs.episode.backend, broken[step])
            _, reward, done, _, info = env.step(actions_of(env))
            for slot in np.flatnonzero(~was_done):  # in mode NEXT_STEP the others began
                of = info["final_info"] if done[slot] and env.autoreset_mode is SAME else info
                seen.setdefault((int(slot), int(of["run_seed"][slot])), []).append(float(reward[slot]))
            was_done = done & (env.autoreset_mode is NEXT)
            if env.runs.autoreset_mode is OFF and done.any():
                env.reset(options={"reset_mask": done})
        return seen

    return returns


def test_the_modes_run_the_same_episodes(make: Make, returns: Returns) -> None:
    expected = returns(make(2), 2 * HORIZON, {}, seed=3)
    assert [len(rewards) for rewards in expected.values()] == [HORIZON] * 4
    assert returns(make(2, OFF), 2 * HORIZON, {}, seed=3) == expected
    assert returns(make(2, "NextStep"), 2 * HORIZON + 1, {}, seed=3) == expected


@pytest.mark.parametrize("mode", [SAME, NEXT, OFF])
def test_a_slot_behind_its_group_stays_paired(make: Make, returns: Returns, mode: AutoresetMode) -> None:
    """Slot 1 diverges at its second step and repeats the episode behind slots 0 and 2."""
    healthy = returns(make(3, mode, group_size=3), 4 * HORIZON, {}, seed=5)
    seen = returns(make(3, mode, group_size=3), 4 * HORIZON + 4, {1: 1}, seed=5)
    for (slot, seed), rewards in healthy.items():
        if slot == 1 and len(seen[slot, seed]) == HORIZON + 2:  # both steps of the run that diverged, then all
            assert seen[slot, seed][:2] == [rewards[0], -1.0]
            seen[slot, seed] = seen[slot, seed][2:]
        assert seen[slot, seed][: len(rewards)] == rewards
    assert sum(len(rewards) for (slot, _), rewards in seen.items() if slot == 1) >= 2 * HORIZON


def test_a_control_that_diverges_stands_still(make: Make, returns: Returns) -> None:
    """Slot 1 is the control: its episode counts as 0 from there on, and the next is as ever."""
    for mode in (SAME, NEXT, OFF):
        healthy = returns(make(1, mode), 2 * HORIZON + 1, {}, seed=5)
        raw = returns(make(2, mode, reward="raw"), 2 * HORIZON + 1, {}, seed=5)
        seen = returns(make(1, mode), 2 * HORIZON + 1, {1: 1}, seed=5)
        first, second = list(healthy)[:2]
        assert seen[first] == [healthy[first][0], *raw[first][1:]]
        assert seen[second] == healthy[second]


def test_next_step_ignores_the_action_that_begins_an_episode(make: Make, break_model: BreakModel) -> None:
    env, same = make(2, NEXT), make(2)
    same.reset(seed=2)
    first = [env.reset(seed=2)[0], env.reset(seed=2, options={"episode": 1})[0]]
    env.reset(seed=2)
    assert env.metadata["autoreset_mode"] is NEXT
    assert same.metadata["autoreset_mode"] is SAME
    break_model(env.runs.episode.backend, 1)
    *_, done, _, info = env.step(actions_of(env))
    assert done.tolist() == [False, True]
    assert "final_obs" not in info
    seen, reward, done, _, info = env.step(actions_of(env))
    assert not done.any()
    assert reward[1] == 0 != reward[0]
    assert info["_loss"].all()
    assert (info["tokens"][1] < info["tokens"][0], info["diverged"].any()) == (True, False)
    np.testing.assert_array_equal(seen["agents"][1], first[0]["agents"][1])  # after divergence, the same again
    last, _, done, _, _ = env.step(actions_of(env))
    assert done.tolist() == [True, False]
    assert last["statistics"][0, 0] == 1
    seen, reward, done, _, _ = env.step(actions_of(env))
    assert (reward[0], done.any()) == (0, False)
    np.testing.assert_array_equal(seen["statistics"][0], first[1]["statistics"][0])


def test_a_mask_begins_some_slots_and_leaves_the_others(make: Make) -> None:
    env, whole = make(4, OFF, group_size=2), make(4, OFF, group_size=2)
    new, _ = whole.reset(seed=4, options={"episode": 1})
    env.reset(seed=4)
    before, *_ = env.step(actions_of(env))
    mask = np.array([False, True, True, True])
    after, info = env.reset(options={"reset_mask": mask})
    for name in ("loss", "run_seed", "weights"):
        np.testing.assert_array_equal(info[f"_{name}"], mask)
        assert not np.any(info[name][0])
    np.testing.assert_array_equal(info["run_seed"][mask], whole.runs.run_seed_N[mask])
    for key, expected in new.items():
        np.testing.assert_array_equal(after[key][0], before[key][0])
        np.testing.assert_array_equal(after[key][1:], expected[1:])


def test_slots_of_a_group_apart_stay_paired(make: Make, returns: Returns) -> None:
    """Slot 0 leaves its episode when the control is in the middle of it, and slot 1 goes on."""
    expected = returns(make(2, OFF, group_size=2), 3 * HORIZON, {}, seed=6)
    env = make(2, OFF, group_size=2)
    env.reset(seed=6)
    env.step(actions_of(env))
    env.reset(options={"reset_mask": np.array([True, False])})
    seen: dict[tuple[int, int], list[float]] = {}
    for _ in range(2 * HORIZON):
        _, reward, done, _, info = env.step(actions_of(env))
        for slot in range(2):
            seen.setdefault((slot, int(info["run_seed"][slot])), []).append(float(reward[slot]))
        if done.any():
            env.reset(options={"reset_mask": done})
    first, second, third = list(dict.fromkeys(seed for _, seed in expected))[:3]
    assert seen[1, first] == expected[1, first][1:]
    assert (seen[0, second], seen[1, second]) == (expected[0, second], expected[1, second])
    assert seen[0, third] == expected[0, third]
    assert (0, first) not in seen


def test_done_slots_must_be_reset(
    make: Make, break_model: BreakModel, tiny_corpus: Corpus, tiny_setting: Setting
) -> None:
    env = make(2, OFF)
    with pytest.raises(InputError, match="step before the first reset"):
        env.step(np.zeros((2, 7)))
    env.reset(seed=0)
    break_model(env.runs.episode.backend, 1)
    env.step(np.zeros((2, 7)))
    with pytest.raises(InputError, match=r"the episode of slots \[1\] is over.*reset_mask"):
        env.step(np.zeros((2, 7)))
    single = ConsoleEnv(corpus=tiny_corpus.path, setting=tiny_setting)
    single.reset(seed=0)
    for _ in range(HORIZON):
        single.step(np.zeros(7, np.float32))
    with pytest.raises(InputError, match=r"the episode of slots \[0\] is over"):
        single.step(np.zeros(7, np.float32))


def test_the_mode_is_an_attribute_that_can_be_set(make: Make, returns: Returns) -> None:
    env = make(2, NEXT)
    env.autoreset_mode = SAME
    assert env.metadata["autoreset_mode"] is env.autoreset_mode is SAME
    assert returns(env, 2 * HORIZON, {}, seed=3) == returns(make(2), 2 * HORIZON, {}, seed=3)


def test_an_unknown_mode_is_refused(make: Make) -> None:
    with pytest.raises(InputError, match="autoreset_mode is 'never', expected one of NextStep, SameStep, Disabled"):
        make(1, "never")
