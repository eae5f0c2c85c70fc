"""The one loop against itself: same seed same run, whatever its slot and company, and exactly resumable."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pretraingym.env.console.limits import EPOCHS, SHARE, Limit
from pretraingym.env.episode import Episode
from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.observation.features import AGENT_FEATURES, column
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.backend import Backend
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

PROSE = Scenario((("prose", 1.0),), 20.0)
MIXED = Scenario((("prose", 0.3), ("code", 0.7)), 2.0)


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus, tiny_setting: Setting) -> Task:
    return Task(tiny_corpus, tiny_setting.context)


@pytest.fixture(scope="module")
def make(task: Task, tiny_setting: Setting) -> Callable[[int], Episode]:
    return lambda count: Episode(task, tiny_setting.backend(task, count), tiny_setting.episode)


def only(task: Task, agents: list[str], strength: float = 0.5) -> np.ndarray:
    weights = np.zeros((len(agents), len(task.agent_names)))
    for row, agent in zip(weights, agents, strict=True):
        row[task.agent_names.index(agent)] = strength
        row[0] += 1 - strength
    return weights


def finish(episode: Episode, weights: np.ndarray) -> list[np.ndarray]:
    losses = []
    while (episode.interval_N < episode.config.num_intervals).all():
        episode.observe()
        losses.append(episode.run_interval(weights).loss_N)
    return losses


def test_a_run_depends_neither_on_slot_nor_on_company(task: Task, make: Callable[[int], Episode]) -> None:
    alone, crowd = make(1), make(4)
    alone.run_interval(None, alone.enter([0], [MIXED], [11]))
    crowd.run_interval(None, crowd.enter([0, 1, 2, 3], [PROSE, PROSE, MIXED, MIXED], [1, 2, 11, 11]))
    agents = ["influence", "quality", "topic", "match-code"]
    expected = finish(alone, only(task, ["topic"]))
    seen = finish(crowd, only(task, agents))
    np.testing.assert_allclose([loss[2] for loss in seen], [loss[0] for loss in expected], atol=1e-6)


def test_runs_of_a_scenario_share_its_pool(task: Task, make: Callable[[int], Episode]) -> None:
    """With a seed of its own the text comes in one order in all runs; else each run has another."""

    def drawn(pool_seed: int | None) -> list[set[int]]:
        episode, scenario = make(2), replace(MIXED, pool_budgets=0.2, pool_seed=pool_seed)
        episode.run_interval(None, episode.enter([0, 1], [scenario, scenario], [5, 6]))
        slots, cells = np.arange(2), np.zeros((2, 1), np.int64)
        number = int(episode.sampler.pool_NC[0, 0])
        turns = np.tile(np.arange(number), (2, 1))
        return [set(row) for row in episode.sampler.windows_at(slots, cells.repeat(number, 1), turns).tolist()]

    first, second = drawn(3)
    assert first == second
    first, second = drawn(None)
    assert first != second


def test_same_seed_same_run(task: Task, make: Callable[[int], Episode]) -> None:
    runs = []
    for _ in range(2):
        episode = make(2)
        episode.run_interval(None, episode.enter([0, 1], [PROSE, MIXED], [5, 6]))
        runs.append(finish(episode, only(task, ["influence", "topic"])))
    np.testing.assert_array_equal(runs[0], runs[1])


def test_state_goes_on_exactly(task: Task, make: Callable[[int], Episode]) -> None:
    weights = only(task, ["influence", "domain"])
    one, other = make(2), make(2)
    one.run_interval(None, one.enter([0, 1], [PROSE, MIXED], [5, 6]))
    one.run_interval(weights)
    other.run_interval(None, other.enter([0, 1], [MIXED, PROSE], [7, 8]))
    other.load_state_dict(one.state_dict())
    other.backend.load_state_dict(one.backend.state_dict())
    seen = [one.observe(), other.observe()]
    np.testing.assert_array_equal(seen[0].agents, seen[1].agents)
    np.testing.assert_array_equal(seen[0].statistics, seen[1].statistics)
    np.testing.assert_array_equal(finish(one, weights), finish(other, weights))


def test_selecting_the_references_own_text_pays(task: Task) -> None:
    clock = EpisodeConfig(num_intervals=3, steps_per_interval=20, probe_windows=32, reference_windows=16)
    setting = Setting(width=32, context=32, episode=clock)
    task = Task(task.corpus, 32)
    episode = Episode(task, setting.backend(task, 3), clock)
    episode.run_interval(None, episode.enter([0, 1, 2], [PROSE] * 3, [0] * 3))
    losses = finish(episode, only(task, ["null", "match-prose", "match-code"]))[-1]
    assert losses[1] < losses[0] - 0.1
    assert losses[2] > losses[0] + 0.1
    seen = episode.observe()
    agreement = seen.agents[0, :, column(AGENT_FEATURES, "agreement")]
    assert agreement[task.agent_names.index("match-prose")] > 0.3 > agreement[task.agent_names.index("match-code")]


def test_divergence_ends_one_run_and_changes_no_other(
    task: Task, make: Callable[[int], Episode], break_model: Callable[[Backend, int], None]
) -> None:
    weights = only(task, ["topic", "topic", "topic"])
    outcomes = []
    for sick in (False, True):
        episode = make(3)
        episode.run_interval(None, episode.enter([0, 1, 2], [PROSE] * 3, [1, 2, 3]))
        if sick:
            break_model(episode.backend, 1)
        outcomes.append(episode.run_interval(weights))
    healthy, seen = outcomes
    assert list(seen.diverged_N) == [False, True, False]
    assert list(seen.done_N) == [False, True, False]
    np.testing.assert_array_equal(seen.loss_N[[0, 2]], healthy.loss_N[[0, 2]])


def test_a_restart_changes_no_neighbour(task: Task, make: Callable[[int], Episode]) -> None:
    weights = only(task, ["influence", "topic", "influence"])
    losses = []
    for restart in (False, True):
        episode = make(3)
        episode.run_interval(None, episode.enter([0, 1, 2], [PROSE] * 3, [1, 2, 3]))
        episode.run_interval(weights)
        if restart:
            episode.run_interval(None, episode.enter([1], [MIXED], [9]))
        losses.append(episode.run_interval(weights).loss_N)
    np.testing.assert_array_equal(losses[0][[0, 2]], losses[1][[0, 2]])
    assert losses[0][1] != losses[1][1]


def test_a_run_that_is_not_active_stays_as_it_is(task: Task, make: Callable[[int], Episode]) -> None:
    weights = only(task, ["influence", "topic", "influence"])
    alone, partly = make(3), make(3)
    for episode in (alone, partly):
        episode.run_interval(None, episode.enter([0, 1, 2], [PROSE] * 3, [1, 2, 3]))
        episode.run_interval(weights)
    before = partly.state_dict()
    outcome = partly.run_interval(weights[[1, 0, 2]], np.array([False, True, False]))
    assert np.isnan(outcome.loss_N[[0, 2]]).all()
    assert not outcome.diverged_N.any()
    after = partly.state_dict()
    for name in (name for name in before if not name.startswith("stopwatch/")):
        np.testing.assert_array_equal(*(state[name].take([0, 2], 0) for state in (before, after)), err_msg=name)
    for name in (
        "measuring/history/last_end_N",
        "measuring/history/tokens_end_N",
        "interval_N",
        "weights_NK",
        "shares_NC",
    ):
        assert not np.array_equal(before[name][1], after[name][1]), name
    expected = alone.run_interval(weights).loss_N
    seen = partly.run_interval(weights, np.array([True, False, True])).loss_N
    np.testing.assert_array_equal(seen[[0, 2]], expected[[0, 2]])


def test_budget_is_spent_and_counted(task: Task, make: Callable[[int], Episode]) -> None:
    episode = make(1)
    episode.run_interval(None, episode.enter([0], [PROSE], [1]))
    finish(episode, only(task, ["quality"]))
    clock = episode.config
    assert episode.tokens_N[0] == clock.total_steps * clock.batch_windows * task.context
    with pytest.raises(InputError, match="a run is done, expected `enter`"):
        episode.run_interval(only(task, ["quality"]))


def test_test_losses_are_the_same_windows_for_every_run(task: Task, make: Callable[[int], Episode]) -> None:
    episode = make(2)
    episode.run_interval(None, episode.enter([0, 1], [PROSE, MIXED], [4, 4]))
    losses = episode.measuring.test_losses(16)
    assert losses.shape == (2, 2)
    assert np.isfinite(losses).all()


def test_a_run_may_be_paid_for_text_that_does_not_steer_it(
    task: Task, make: Callable[[int], Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    episode, evaluated = make(3), list[np.ndarray]()
    evaluate = episode.backend.evaluate
    monkeypatch.setattr(
        episode.backend, "evaluate", lambda ids, averaged: evaluated.append(ids) or evaluate(ids, averaged)
    )
    scenarios = [PROSE, replace(PROSE, loss_part="trial"), PROSE]
    episode.run_interval(None, episode.enter([0, 1, 2], scenarios, [0] * 3))
    for ids, part in zip(evaluated, ("validation", "trial"), strict=True):
        assert np.isin(ids, task.windows.ids(task.corpus.splits[f"prose/{part}"])).all()
    first, second, third = episode.loss_N
    assert first == third != second
    np.testing.assert_array_equal(*episode.observe().agents[:2])  # steered alike


def test_a_budget_below_one_interval_is_refused() -> None:
    with pytest.raises(InputError, match="the budget is smaller than one interval"):
        EpisodeConfig(num_intervals=0)


LIMITS = (
    Limit(EPOCHS, "domain", "prose", 0.01),
    Limit(SHARE, "domain", "code", 0.35),
    Limit(EPOCHS, "domain", "data", 0),
)


def tokens_of(task: Task, domain: str, windows: np.ndarray) -> int:
    """Tokens of these windows that are of a domain, counted one by one."""
    labels = task.corpus.labels["domain"]
    mine = labels.column[task.windows.document(windows)] == labels.names.index(domain)
    return int(task.windows.lengths(windows)[mine].sum())


def test_limits_are_kept_from_the_warm_up_on(task: Task, tiny_setting: Setting) -> None:
    """Whatever the weights want, in every run of several; the state says where they stand."""
    whole = Scenario((("prose", 1.0),), 20.0)
    episode = Episode(task, tiny_setting.backend(task, 2), tiny_setting.episode, LIMITS)
    intervals = [episode.run_interval(None, episode.enter([0, 1], [whole, MIXED], [3, 4]))]
    states = []
    for _ in range(tiny_setting.episode.num_intervals):
        states.append((episode.state_dict(), episode.backend.state_dict()))
        intervals.append(episode.run_interval(only(task, ["match-prose", "quality"], 1.0)))
    for run in (0, 1):
        pool = episode.sampler.pool_tokens_NC[run] @ (task.cells.labels_CA[:, 0] == 0)
        for end in range(1, len(intervals) + 1):
            windows = np.concatenate([interval.windows[run].ravel() for interval in intervals[:end]])
            drawn = task.windows.lengths(windows).sum()
            assert drawn == intervals[end - 1].tokens_N[run]
            assert tokens_of(task, "prose", windows) <= 0.01 * pool
            assert tokens_of(task, "data", windows) == 0
            assert tokens_of(task, "code", windows) >= 0.35 * drawn
        domain_C = task.cells.labels_CA[:, 0]
        assert episode.drawn_NC[run][domain_C == 1].sum() == tokens_of(task, "code", windows)
        assert episode.shares_NC[run][domain_C == 3].sum() == 0
        assert episode.shares_NC[run][domain_C == 1].sum() == pytest.approx(0.35, abs=0.05)
    again = Episode(task, tiny_setting.backend(task, 2), tiny_setting.episode, LIMITS)
    again.backend.load_state_dict(states[1][1])
    again.load_state_dict(states[1][0])
    for interval in intervals[2:]:
        redone = again.run_interval(only(task, ["match-prose", "quality"], 1.0))
        np.testing.assert_array_equal(redone.windows, interval.windows)
        np.testing.assert_array_equal(redone.shares_NC, interval.shares_NC)


def test_limits_that_a_pool_cannot_keep_are_refused_at_its_entry(task: Task, tiny_setting: Setting) -> None:
    each_once = tuple(Limit(EPOCHS, "domain", name, 1) for name in task.corpus.labels["domain"].names)
    episode = Episode(task, tiny_setting.backend(task, 1), tiny_setting.episode, each_once)
    episode.enter([0], [Scenario((("prose", 1.0),), 2.0)], [0])
    with pytest.raises(InputError, match="raise the epochs, or shorten the run"):
        episode.enter([0], [Scenario((("prose", 1.0),), 0.5)], [0])
