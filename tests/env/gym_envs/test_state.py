"""States and forks are exact, and explicit run seeds name a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from pretraingym.env.gym_envs.single_env import ConsoleEnv
from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.backend import Backend
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

Make = Callable[..., Any]
BreakModel = Callable[[Backend, int], None]
SCENARIO = Scenario((("code", 0.1), ("prose", 0.9)), 3.3)


@pytest.fixture
def make(tiny_corpus: Corpus, tiny_setting: Setting) -> Make:
    def make(num_envs: int = 0, **given: Any) -> Any:
        options = {"corpus": tiny_corpus.path, "setting": tiny_setting, **given}
        if not num_envs:
            return ConsoleEnv(**options)
        return ConsoleVectorEnv(num_envs, **{"autoreset_mode": "SameStep", **options})

    return make


def assert_same(one: Any, other: Any) -> None:
    """Bit for bit, in whatever is nested."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, tuple) or (isinstance(one, np.ndarray) and one.dtype.hasobject):
        for each, its in zip(one, other, strict=True):
            assert_same(each, its)
    else:
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == np.asarray(other).dtype


def play(env: Any, seed: int, steps: int, break_model: BreakModel) -> list[Any]:
    """What the environment answers to seeded actions, divergence, and the resets that its mode asks for."""
    rng, answers = np.random.default_rng(seed), []
    for _ in range(steps):
        if rng.random() < 0.15:
            break_model(env.runs.episode.backend, int(rng.integers(env.runs.episode.num_slots)))
        answers.append(env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)))
        done = answers[-1][2]
        if env.runs.autoreset_mode is AutoresetMode.DISABLED and np.any(done):
            mask = np.atleast_1d(done)
            answers.append(env.reset(options={"reset_mask": mask} if rng.random() < 0.5 else None))
        elif rng.random() < 0.1:
            answers.append(env.reset(seed=int(rng.integers(99)) if rng.random() < 0.5 else None))
    return answers


@pytest.mark.parametrize("rounds", [1, pytest.param(6, marks=pytest.mark.soak)])
@pytest.mark.parametrize("mode", [*AutoresetMode, None])
def test_a_fork_at_any_instant_goes_on_as_the_original(
    make: Make, break_model: BreakModel, mode: AutoresetMode | None, rounds: int
) -> None:
    env = make() if mode is None else make(4, group_size=2, autoreset_mode=mode)
    env.reset(options={"scenario": SCENARIO} if mode is AutoresetMode.NEXT_STEP else None)
    rng = np.random.default_rng(8)
    for _ in range(rounds):
        play(env, int(rng.integers(99)), int(rng.integers(1, 6)), break_model)
        twin, seed, kept = env.fork(), int(rng.integers(99)), env.get_state()
        assert twin.runs.task is env.runs.task
        ahead = play(twin, seed, 5, break_model)
        assert_same(env.get_state(), kept)
        assert_same(tuple(play(env, seed, 5, break_model)), tuple(ahead))
        later, now = twin.get_state(), env.get_state()
        for state in (later, now):
            for name in ("trained_tokens", "seconds"):
                del state[f"episode/stopwatch/{name}"]
        assert_same(later, now)


def test_a_fork_knows_that_a_run_diverged(make: Make, break_model: BreakModel) -> None:
    env = make(2, autoreset_mode="NextStep")
    env.reset(seed=0)
    break_model(env.runs.episode.backend, 1)
    env.step(np.zeros(env.action_space.shape))
    twin = env.fork()
    action = np.zeros(env.action_space.shape)
    assert_same(twin.step(action), env.step(action))
    assert twin.runs.number_of.tolist() == [0, 0]


def test_a_fork_draws_its_seeds_apart(make: Make) -> None:
    env = make(1)
    env.np_random.integers(9)
    twin = env.fork()
    drawn = [each.reset()[1]["run_seed"][0] for each in (env, twin)]
    assert drawn[0] == drawn[1]
    assert make(1).fork().runs.base_seed is None
    assert twin.np_random_seed == env.np_random_seed
    twin.metadata["mine"] = True
    assert "mine" not in env.metadata


def test_a_state_goes_through_a_file_into_another_environment(make: Make, tmp_path: Path) -> None:
    env, other = make(2, group_size=2), make(2, group_size=2)
    env.reset(seed=2**70, options={"scenario": SCENARIO, "seeds": np.array([11, 11])})
    env.step(np.zeros(env.action_space.shape))
    np.savez(tmp_path / "state.npz", **env.get_state())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        state = dict(file)
    other.set_state(state)
    assert other.runs.scenario == SCENARIO
    assert other.runs.given_seeds == {(0, 0): 11}
    for _ in range(4):
        action = np.ones(env.action_space.shape)
        assert_same(env.step(action), other.step(action))


def test_another_environments_state_is_refused(make: Make) -> None:
    env = make(2)
    env.reset(seed=0)
    kept = env.get_state()
    with pytest.raises(InputError, match="environment with group_size 2, this one has 1"):
        env.set_state(make(2, group_size=2).get_state())
    with pytest.raises(InputError, match="has other parts than this environment's: number"):
        env.set_state({key: value for key, value in kept.items() if key != "number"})
    with pytest.raises(InputError, match=r"'episode/seed_N' as float64 \(2,\), expected int64 \(4,\)"):
        env.set_state(kept | {"episode/seed_N": np.zeros(2)})
    with pytest.raises(InputError, match=r"'number' as int64 \(1,\), expected int64 \(2,\)"):
        env.set_state(kept | {"number": kept["number"][:1]})
    broken = np.frombuffer(b"{", np.uint8)
    with pytest.raises(InputError, match="the state has parts that are not JSON"):
        env.set_state(kept | {"scenario": broken, "number": kept["number"] + 1})
    assert_same(env.get_state(), kept)


def test_given_seeds_name_the_first_episode(make: Make, break_model: BreakModel) -> None:
    env, named = make(2), make(2)
    _, info = env.reset(seed=5)
    seeds = info["run_seed"]
    _, info = named.reset(seed=6, options={"seeds": seeds[::-1]})
    np.testing.assert_array_equal(info["run_seed"], seeds[::-1])
    break_model(named.runs.episode.backend, 1)
    action = np.zeros(env.action_space.shape, np.float32)
    rewards = np.array([env.step(action)[1] for _ in range(3)])
    seen = [named.step(action) for _ in range(4)]
    np.testing.assert_array_equal([step[1][0] for step in seen[:3]], rewards[:, 1])
    np.testing.assert_array_equal([step[1][1] for step in seen[1:]], rewards[:, 0])  # diverged, and repeated its seed
    for step in seen[:2]:
        np.testing.assert_array_equal(step[4]["run_seed"], seeds[::-1])
        assert step[4]["_run_seed"].all()
    final, info = seen[2][4]["final_info"], seen[2][4]
    np.testing.assert_array_equal(final["_run_seed"], [True, False])
    assert final["run_seed"][0] == seeds[1]  # of the episode that the reward belongs to
    assert info["run_seed"].tolist() == [named.runs.run_seed(0, 1), seeds[0]]  # of those that have begun


def test_bad_reset_options_are_refused(make: Make) -> None:
    env, off = make(2, group_size=2), make(2, autoreset_mode="Disabled")
    with pytest.raises(InputError, match="the first reset, which begins all slots"):
        off.reset(options={"reset_mask": np.ones(2, bool)})
    off.reset(seed=0)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (env, {"seed": 3}, "no option 'seed', expected episode, scenario, seeds, reset_mask"),
        (env, {"episode": "x"}, "episode is 'x', expected a whole number from 0 up"),
        (env, {"episode": -1}, "episode is -1, expected"),
        (env, {"scenario": "x"}, "scenario is str, expected a Scenario"),
        (env, {"seeds": [1, 1]}, r"seeds are list, expected a numpy array of integers \(2,\)"),
        (env, {"seeds": np.zeros(2)}, r"seeds are float64 \(2,\)"),
        (env, {"seeds": np.zeros(3, int)}, r"seeds are int64 \(3,\)"),
        (env, {"seeds": np.array([-1, -1])}, "from -1 to -1, expected 0 to"),
        (env, {"seeds": np.array([1, 2])}, r"seeds of group 0 are \[1, 2\], expected the same"),
        (env, {"reset_mask": np.ones(2, bool)}, "autoreset_mode is SameStep, expected Disabled"),
        (off, {"reset_mask": [True, False]}, r"reset_mask is list, expected a numpy array of bool \(2,\)"),
        (off, {"reset_mask": np.ones(2, int)}, r"reset_mask is int64 \(2,\)"),
        (off, {"reset_mask": np.ones((2, 1), bool)}, r"reset_mask is bool \(2, 1\)"),
        (off, {"reset_mask": np.zeros(2, bool)}, "reset_mask is False in all 2 slots"),
        (off, {"reset_mask": np.ones(2, bool), "episode": 1}, "given with episode: it begins the next episodes, alone"),
    ]
    for each, given, message in cases:
        with pytest.raises(InputError, match=message):
            each.reset(options=given)
    with pytest.raises(InputError, match="reset_mask was given with seed"):
        off.reset(seed=1, options={"reset_mask": np.ones(2, bool)})
