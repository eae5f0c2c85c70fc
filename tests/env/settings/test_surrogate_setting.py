"""The surrogate of a corpus as an environment, and the known best on it."""

from dataclasses import replace
from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from torch.utils._python_dispatch import TorchDispatchMode

import pretraingym.env  # noqa: F401 (registers the environments)
from pretraingym.env.console.weights import natural_weights
from pretraingym.env.episode import Episode
from pretraingym.env.observation.features import AGENT_FEATURES, column
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.experiments.evaluation.optimum import best_static, final_losses, schedule_bound
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.surrogate import Dynamics

ID = "PretrainGym/Surrogate-v2"
PROSE = Scenario((("prose", 1.0),), 20.0)


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return SurrogateSetting().task(tiny_corpus)


def test_it_is_registered_and_passes_the_checker(tiny_corpus: Corpus) -> None:
    check_env(gym.make("pretraingym.env:" + ID, corpus=str(tiny_corpus.path)).unwrapped, skip_render_check=True)


class _Forbid(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} was called")


def test_no_torch_in_reset_and_step(tiny_corpus: Corpus) -> None:
    env = gym.make_vec(ID, num_envs=2, corpus=str(tiny_corpus.path))
    with _Forbid():
        env.reset(seed=0)
        env.step(np.zeros(env.action_space.shape, np.float32))


def test_transfer_follows_the_labels(task: Task) -> None:
    dynamics, natural = SurrogateSetting(twist=0).dynamics(task), task.cells.natural_C
    np.testing.assert_allclose(natural @ dynamics.transfer_CT, 1)
    np.testing.assert_array_equal(dynamics.late_CT, dynamics.transfer_CT)
    domain_C = task.cells.labels_CA[:, list(task.layout.columns).index("domain")]
    domains = task.layout.columns["domain"].names
    worth = [dynamics.transfer_CT[domain_C == domain].mean(0) for domain in range(len(domains))]
    helpful = [domains[best] for best in np.argmax(worth, 0)]
    assert helpful == list(task.reference_tasks), "prose helps prose most, code helps code"
    turned = SurrogateSetting(twist=0, turn=1).dynamics(task)
    np.testing.assert_array_equal(turned.transfer_CT, dynamics.transfer_CT)
    worth = [turned.late_CT[domain_C == domain].mean(0) for domain in range(len(domains))]
    assert [domains[worst] for worst in np.argmin(worth, 0)] == list(task.reference_tasks)
    np.testing.assert_allclose(natural @ turned.late_CT, 1)


def test_natural_ends_where_the_proxy_does(task: Task) -> None:
    natural = natural_weights(1, len(task.agent_names))
    assert final_losses(task, SurrogateSetting(), PROSE, lambda _: natural, [0])[0] == pytest.approx(3.76, abs=0.05)


@pytest.fixture(scope="module")
def three_agents(tiny_corpus: Corpus) -> tuple[Task, SurrogateSetting]:
    setting = SurrogateSetting(agents=("null", "match-prose", "quality"))
    return setting.task(tiny_corpus), setting


def test_best_static_is_the_best_of_a_grid(three_agents: tuple[Task, SurrogateSetting]) -> None:
    task, setting = three_agents
    steps = np.linspace(0, 1, 21)
    grid = np.array([(1 - a - b, a, b) for a, b in product(steps, steps) if a + b < 1 + 1e-9]).clip(0)
    null = grid[:, task.agent_names.index("null")]
    losses = np.mean([final_losses(task, setting, PROSE, lambda _: grid, [seed] * len(grid)) for seed in (0, 1)], 0)
    weights, best, natural = best_static(task, setting, PROSE, seeds=(0, 1))
    assert best <= losses.min() + 0.002
    assert best > losses.min() - 0.01
    assert abs(weights - grid[losses.argmin()]).max() < 0.25
    assert natural == pytest.approx(losses[np.flatnonzero(null == 1)[0]], abs=0.02)


def test_no_console_beats_the_bound(three_agents: tuple[Task, SurrogateSetting]) -> None:
    task, setting = three_agents
    _, best, natural = best_static(task, setting, PROSE, rounds=2)
    clock, dynamics = setting.episode, setting.dynamics(task)
    per_step = clock.batch_windows * setting.context
    budget = np.array([clock.warmup_steps, *[clock.steps_per_interval] * clock.num_intervals]) * float(per_step)
    pool = task.cells.tokens_C * min(1.0, 20 * budget.sum() / task.cells.tokens_C.sum())
    bound = schedule_bound(dynamics, pool, budget, task.task_weights(PROSE), warmup=1)
    assert bound < best < natural
    assert natural - bound < 3 * (natural - best)


@pytest.mark.parametrize("pool", [1000.0, 10.0])
def test_the_bound_against_brute_force(pool: float) -> None:
    """Two kinds, two intervals, worth that changes: every schedule on a grid, repeats in full."""
    early, late = np.array([[2.0, 0.2], [0.3, 1.0]]), np.array([[0.5, 0.4], [1.2, 1.6]])
    dynamics, pools = Dynamics(early, late, 40.0), np.full(2, pool)
    budget, weights = np.array([10.0, 30.0]), np.array([0.6, 0.4])
    worth = dynamics.transfer(np.array([0.125, 0.625]))

    def loss(first: float, second: float) -> float:
        used, effective = np.zeros(2), np.zeros(2)
        for share, tokens, value in zip((first, second), budget, worth, strict=True):
            epochs = (used / pool, (used + tokens * np.array([share, 1 - share])) / pool)
            effective += (pool * (_worth(epochs[1]) - _worth(epochs[0]))) @ value
            used = epochs[1] * pool
        return float(dynamics.loss(effective) @ weights)

    best = min(loss(a, b) for a, b in product(np.linspace(0, 1, 101), repeat=2))
    bound = schedule_bound(dynamics, pools, budget, weights)
    assert best - (1e-4 if pool == 1000 else 0.08) < bound <= best + 1e-9


def _worth(epochs: np.ndarray) -> np.ndarray:
    whole = np.floor(epochs)
    return (1 - np.exp(-whole / 15)) / (1 - np.exp(-1 / 15)) + (epochs - whole) * np.exp(-whole / 15)


@pytest.mark.parametrize("given", [{"twist": -1.0}, {"turn": 1.5}, {"loss_sd": -0.1}])
def test_bad_settings_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected none below 0, turn at most 1"):
        SurrogateSetting(**given)  # type: ignore[arg-type]


def test_the_observation_tells_seen_from_unseen(tiny_corpus: Corpus) -> None:
    """Under natural, in a pool of which half has been drawn."""
    gaps = []
    for memorised in (0.0, 0.3):
        setting = SurrogateSetting(agents=("null", "match-prose"))
        task = setting.task(tiny_corpus)
        backend = setting.backend(task, 16)
        backend.dynamics = replace(backend.dynamics, memorised=memorised)
        episode = Episode(task, backend, setting.episode)
        runs = list(range(backend.num_slots))
        episode.run_interval(None, episode.enter(runs, [replace(PROSE, pool_budgets=1.0)] * len(runs), runs))
        for _ in range(3):
            episode.run_interval(natural_weights(len(runs), len(task.agent_names)))
        match = task.agent_names.index("match-prose")
        gaps.append(episode.observe().agents[:, match, column(AGENT_FEATURES, "seen_gap")].mean())
    assert gaps[1] < gaps[0] - 0.2
