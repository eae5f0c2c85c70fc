"""One sequence of windows, whoever reads it: against Episode's own draws, over ranks, workers and restarts."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from pretraingym.env.datasets.batch_plan import BatchPlan
from pretraingym.env.datasets.console_dataset import ConsoleDataset
from pretraingym.env.episode import Episode
from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

CLOCK = EpisodeConfig(num_intervals=4, steps_per_interval=3, batch_windows=8, warmup_steps=2)
PLAN = BatchPlan(batch_windows=8, steps_per_block=3, warmup_steps=2, num_blocks=5)
STEPS = 14  # of the plan
SEED, POOL_BUDGETS = 7, 0.3
Make = Callable[..., ConsoleDataset]
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # where cores are fewer than the workers here
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata's own
]


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return Task(tiny_corpus, 16)


def mostly(task: Task, agent: str, strength: float = 0.7) -> np.ndarray:
    weights = np.zeros(len(task.agent_names))
    weights[task.agent_names.index("null")] = 1 - strength
    weights[task.agent_names.index(agent)] += strength
    return weights


@pytest.fixture(scope="module")
def weights_IK(task: Task) -> list[np.ndarray]:
    """Weights of the four intervals."""
    return [mostly(task, agent) for agent in ("quality", "match-code", "match-code", "match-prose")]


class Recorder:
    """A backend of one slot that learns nothing and keeps the windows it was given."""

    num_slots, num_params = 1, 0

    def __init__(self) -> None:
        self.steps: list[np.ndarray] = []

    def start(self, slot: int, seed: int, lr_scale: float = 1.0) -> None: ...

    def train(self, windows: np.ndarray, active: np.ndarray) -> np.ndarray:
        self.steps += list(windows[0])
        return np.zeros(1)

    def evaluate(self, windows: np.ndarray, averaged: bool) -> np.ndarray:
        return np.zeros(windows.shape)

    def influence(self, reference: np.ndarray, weight: np.ndarray, probe: np.ndarray, stride: int) -> Any:
        alone = np.zeros((1, weight.shape[1], probe[:, ::stride].shape[1]))
        return np.sin(probe.astype(float)), np.zeros(probe.shape), alone

    def learning_rate(self) -> np.ndarray:
        return np.ones(1)


@pytest.fixture(scope="module")
def expected(task: Task, weights_IK: list[np.ndarray]) -> list[list[int]]:
    """The windows of each step of an Episode."""
    backend = Recorder()
    episode = Episode(task, backend, CLOCK)  # type: ignore[arg-type]
    episode.run_interval(None, episode.enter([0], [Scenario((("prose", 1.0),), POOL_BUDGETS)], [SEED]))
    for weights in weights_IK:
        episode.run_interval(weights[None])
    assert len(backend.steps) == STEPS
    return [step.tolist() for step in backend.steps]


@pytest.fixture
def make(task: Task, weights_IK: list[np.ndarray]) -> Make:
    def made(plan: BatchPlan = PLAN, changed: bool = True) -> ConsoleDataset:
        pool = POOL_BUDGETS * CLOCK.budget_tokens(task.context)
        dataset = ConsoleDataset(task, weights_IK[0], plan, SEED, pool, with_ids=True)
        for block in range(2, PLAN.num_blocks or 0) if changed else ():
            dataset.set_weights(weights_IK[block - 1], block)
        return dataset

    return made


def steps(dataset: Any, workers: int = 0, loader: Any = DataLoader, **settings: Any) -> Any:
    return loader(dataset, batch_size=dataset.plan.batch, num_workers=workers, **settings)


def ids(batches: Any) -> list[list[int]]:
    return [batch["window_id"].tolist() for batch in batches]


@pytest.mark.parametrize(("workers", "world", "accumulated"), [(0, 1, 1), (2, 1, 2), (0, 2, 1), (3, 2, 2)])
def test_the_windows_are_an_episodes_for_any_readers(
    make: Make, expected: list[list[int]], workers: int, world: int, accumulated: int
) -> None:
    of_ranks = []
    for rank in range(world):
        plan = replace(PLAN, rank=rank, world_size=world, loader_batch=PLAN.batch_windows // world // accumulated)
        batches = ids(steps(make(plan), workers))
        of_ranks.append(
            [sum(batches[start : start + accumulated], []) for start in range(0, len(batches), accumulated)]
        )
        assert len(make(plan)) == STEPS * PLAN.batch_windows // world
    assert [sum(step, []) for step in zip(*of_ranks, strict=True)] == expected


def test_items_are_the_windows_tokens(tiny_corpus: Corpus) -> None:
    task = Task(tiny_corpus, 512)
    batch = next(iter(steps(ConsoleDataset(task, mostly(task, "null"), PLAN, with_ids=True))))
    assert (batch["labels"] == -100).any()
    tokens = torch.from_numpy(task.windows.fetch(batch["window_id"].numpy()))
    assert torch.equal(batch["labels"], tokens)
    assert torch.equal(batch["input_ids"], tokens.clamp(min=0))
    assert torch.equal(batch["attention_mask"], (tokens >= 0).long())
    assert "window_id" not in next(iter(ConsoleDataset(task, mostly(task, "null"), PLAN)))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_weights_changed_live_reach_the_workers(task: Task, make: Make, context: str) -> None:
    plan, weights = replace(PLAN, num_blocks=8), mostly(task, "match-prose")
    dataset, afterwards = (make(plan, changed=False) for _ in range(2))
    batches = iter(steps(dataset, 2, multiprocessing_context=context))
    seen = ids(islice(batches, 3))
    block = dataset.set_weights(weights)
    seen += ids(batches)
    assert 2 <= block <= 4  # two batches of each worker are prefetched
    unchanged = ids(steps(make(plan, changed=False)))
    afterwards.set_weights(weights, block)
    assert seen == ids(steps(afterwards)) != unchanged
    assert seen[: plan.first_step(block)] == unchanged[: plan.first_step(block)]
    with pytest.raises(InputError, match="which is drawn; expected 8 or later"):
        dataset.set_weights(weights, 7)


@pytest.mark.parametrize(("workers", "resumed_by"), [(0, 2), (2, 0)])
@pytest.mark.parametrize("at", [0, 4, 5, 6])
def test_a_run_goes_on_exactly(task: Task, make: Make, workers: int, resumed_by: int, at: int) -> None:
    """Killed with a change pending in blocks that are not drawn; with other workers, and on two ranks."""
    first = make(changed=False)
    batches = iter(steps(first, workers))
    ids(islice(batches, at))
    first.set_weights(mostly(task, "match-prose"))
    state = first.state_at(at)
    rest = ids(batches)
    again = make(changed=False)
    again.load_state_dict(state)
    assert ids(steps(again, resumed_by)) == rest
    of_ranks = [make(replace(PLAN, rank=rank, world_size=2), changed=False) for rank in (0, 1)]
    for rank in of_ranks:
        rank.load_state_dict(state)
    halves = zip(*(ids(steps(rank)) for rank in of_ranks), strict=True)
    assert [sum(step, []) for step in halves] == rest


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_torchdata_goes_on_exactly(task: Task, make: Make, workers: int) -> None:
    plan = replace(PLAN, loader_batch=4)
    first = make(plan, changed=False)
    loader = steps(first, workers, StatefulDataLoader)
    batches = iter(loader)
    ids(islice(batches, 9))
    first.set_weights(mostly(task, "match-prose"))
    states = loader.state_dict(), first.state_dict()
    rest = ids(batches)
    again = make(plan, changed=False)
    loader = steps(again, workers, StatefulDataLoader)
    if workers:
        again.load_state_dict(states[1])
    loader.load_state_dict(states[0])
    assert ids(loader) == rest


def test_a_bare_loop_goes_on_in_the_middle_of_a_batch(make: Make) -> None:
    plan = replace(PLAN, rank=1, world_size=2)
    first, again, other = (make(plan) for _ in range(3))
    items = iter(first)
    for _ in range(45):
        next(items)
    again.load_state_dict(first.state_dict())
    other.load_state_dict(first.state_dict() | {"num_workers": 2})
    assert [int(item["window_id"]) for item in again] == [int(item["window_id"]) for item in items]
    assert ids(steps(again)) == ids(steps(make(plan)))  # the next pass begins at the beginning
    with pytest.raises(InputError, match="reader 0 of 2, between two steps' ends, and is read by 0 of 1"):
        iter(other)


def test_a_state_may_be_asked_for_at_any_step(task: Task, make: Make, expected: list[list[int]]) -> None:
    """While the windows are read here, and without drawing what may still change."""
    dataset = make()
    items = iter(steps(dataset))
    seen = ids(islice(items, 4))
    states = [dataset.state_at(step) for step in (2, 5, 13)]
    assert seen + ids(items) == expected
    for step, state in zip((2, 5, 13), states, strict=True):
        again = make()
        next(iter(again))
        again.load_state_dict(state)
        assert torch.equal(again.state_dict()["used"], state["used"])
        assert ids(steps(again)) == expected[step:]
    for step, undrawn in ((0, 0), (4, 2), (5, 2)):
        first, again = make(changed=False), make(changed=False)
        again.load_state_dict(first.state_at(step))
        assert again.set_weights(mostly(task, "quality")) == undrawn
    assert first.set_weights(mostly(task, "quality")) == 2
    first.load_state_dict(dataset.state_at(5))  # back, and other changes with it
    assert ids(steps(first)) == expected[5:]


def test_what_does_not_fit_is_refused(task: Task, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pretraingym.env.datasets.weight_log.MAX_CHANGES", 4)
    dataset, weights = make(), mostly(task, "match-prose")
    with pytest.raises(InputError, match="changed 4 times, expected at most that"):
        dataset.set_weights(weights)
    with pytest.raises(InputError, match="favour influence, which feedback moves"):
        dataset.set_weights(mostly(task, "influence"))
    with pytest.raises(InputError, match="not a simplex"):
        dataset.set_weights(2 * weights)
    with pytest.raises(InputError, match="from block 5 on, expected one of 5 blocks"):
        dataset.set_weights(weights, 5)
    with pytest.raises(InputError, match="one rank of several without from_block"):
        make(replace(PLAN, world_size=2)).set_weights(weights)
    with pytest.raises(InputError, match="pool_tokens is 0, expected a number of tokens"):
        ConsoleDataset(task, weights, PLAN, pool_tokens=0)
    other = ConsoleDataset(task, weights, replace(PLAN, warmup_steps=1), 8, dataset.pool_tokens)
    with pytest.raises(InputError, match="warmup_steps is 1, 2 in the state; seed is 8, 7 in the state. Make"):
        other.load_state_dict(dataset.state_dict())
    other = ConsoleDataset(task, weights, PLAN, SEED, dataset.pool_tokens)
    with pytest.raises(InputError, match="are not of one run"):
        other.load_state_dict(dataset.state_dict())
    other = make()
    other.load_state_dict(dataset.state_at(5))
    with pytest.raises(InputError, match="state asked for in block 1, expected 2, where this run began, or later"):
        other.state_at(4)
    half = make(replace(PLAN, loader_batch=4))
    next(iter(half))
    with pytest.raises(InputError, match="rank 0 of 1 with batches of 4, expected rank 0 of 1 with batches of 8"):
        dataset.load_state_dict(half.state_dict())
