"""Windows that are posted block by block, and who waits for them."""

from itertools import islice

import numpy as np
import pytest
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from pretraingym.env.datasets.batch_plan import BatchPlan
from pretraingym.env.datasets.posted_dataset import PostedDataset
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.windows import Windows
from pretraingym.lm.io.errors import InputError

PLAN = BatchPlan(batch_windows=8, steps_per_block=3, warmup_steps=2, num_blocks=3)  # 8 steps
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's own


@pytest.fixture(scope="module")
def windows(tiny_corpus: Corpus) -> Windows:
    return Windows(tiny_corpus, 16)


@pytest.fixture(scope="module")
def step_ids(windows: Windows) -> np.ndarray:
    """The windows of each of the eight steps, (8, 8)."""
    return np.random.default_rng(0).choice(windows.ids(windows.corpus.splits["train"]), (8, 8))


def block_of(step_ids: np.ndarray, block: int) -> np.ndarray:
    return step_ids[PLAN.first_step(block) : PLAN.first_step(block + 1)].reshape(-1)


def taken(batches: object, count: int | None = None) -> list[list[int]]:
    return [batch["window_id"].tolist() for batch in islice(batches, count)]  # type: ignore[call-overload]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_wait_for_the_windows_of_a_block(windows: Windows, step_ids: np.ndarray) -> None:
    dataset = PostedDataset(windows, PLAN, patience_s=0.3, with_ids=True)
    batches = iter(DataLoader(dataset, batch_size=8, num_workers=3))
    dataset.post(0, block_of(step_ids, 0))
    seen = taken(batches, 2)
    dataset.post(1, block_of(step_ids, 1))
    assert seen + taken(batches, 3) == step_ids[:5].tolist()
    with pytest.raises(InputError, match=r"windows of block 2 were not posted within 0\.3 s") as told:
        next(batches)
    told.value.with_traceback(None)
    del told  # else a cycle keeps the workers, which are then ended slowly


def test_one_process_does_not_wait(windows: Windows, step_ids: np.ndarray) -> None:
    dataset = PostedDataset(windows, PLAN)
    with pytest.raises(InputError, match="windows of block 0 were not posted within 0 s"):
        next(iter(dataset))


@pytest.mark.parametrize("at", [3, 5])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_exactly(windows: Windows, step_ids: np.ndarray, workers: int, at: int) -> None:
    """Also if the next block is posted and no batch of it was taken."""
    first, again, with_torchdata = (PostedDataset(windows, PLAN, patience_s=5, with_ids=True) for _ in range(3))
    loader = StatefulDataLoader(first, batch_size=8, num_workers=workers)
    batches = iter(loader)
    for block in range(2 + at // 5):
        first.post(block, block_of(step_ids, block))
        taken(batches, min(at, PLAN.first_step(block + 1)) - PLAN.first_step(block))
    states = first.state_at(at), loader.state_dict()
    if at < 5:
        first.post(2, block_of(step_ids, 2))  # workers that wait would be waited for when they are ended
    again.load_state_dict(states[0])
    with_torchdata.load_state_dict(states[0])
    loader = StatefulDataLoader(with_torchdata, batch_size=8, num_workers=workers)
    loader.load_state_dict(states[1])
    for dataset, readers in ((again, DataLoader(again, batch_size=8, num_workers=workers)), (with_torchdata, loader)):
        batches = iter(readers)
        seen = taken(batches, 5 - at) if at < 5 else []
        if at < 5:
            dataset.post(2, block_of(step_ids, 2))
        assert seen + taken(batches) == step_ids[at:].tolist()


def test_an_earlier_state_goes_back(windows: Windows, step_ids: np.ndarray) -> None:
    dataset = PostedDataset(windows, PLAN, with_ids=True)
    batches = iter(DataLoader(dataset, batch_size=8))
    dataset.post(0, block_of(step_ids, 0))
    taken(batches, 2)
    state = dataset.state_at(2)
    dataset.post(1, block_of(step_ids, 1))
    taken(batches, 1)
    dataset.load_state_dict(state)
    dataset.post(1, block_of(step_ids, 2))
    assert taken(DataLoader(dataset, batch_size=8), 3) == step_ids[5:].tolist()


def test_what_does_not_fit_is_refused(windows: Windows, step_ids: np.ndarray) -> None:
    dataset = PostedDataset(windows, PLAN)
    with pytest.raises(InputError, match=r"shape \(3,\) posted for block 0, expected \(16,\)"):
        dataset.post(0, block_of(step_ids, 0)[:3])
    with pytest.raises(InputError, match="window ids of documents"):
        dataset.post(0, block_of(step_ids, 0) << 8)
    with pytest.raises(InputError, match="dataset is PostedDataset, None in the state; corpus is"):
        dataset.load_state_dict({})
    with pytest.raises(InputError, match="block 1 posted after 0 blocks of 3, expected block 0"):
        dataset.post(1, block_of(step_ids, 1))
    for block in range(3):
        dataset.post(block, block_of(step_ids, block))
    with pytest.raises(InputError, match="block 3 posted after 3 blocks of 3, expected"):
        dataset.post(3, block_of(step_ids, 2))
    with pytest.raises(InputError, match="block 2 was posted before block 0 was read"):
        next(iter(dataset))
    with pytest.raises(InputError, match="state asked for in block 1, expected 2 or 3"):
        dataset.state_at(4)
