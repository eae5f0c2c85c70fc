"""A run goes on after its corpus was built anew: counted window by window, by the documents' text."""

import io
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from pretraingym.env.datasets.batch_plan import BatchPlan
from pretraingym.env.datasets.console_dataset import ConsoleDataset
from pretraingym.env.scenarios.task import Task
from pretraingym.lm.corpus.corpus import Corpus, Labels
from pretraingym.lm.corpus.tokenizer import train_tokenizer
from pretraingym.lm.corpus.windows import PART_BITS
from pretraingym.lm.corpus.writer import CorpusWriter
from pretraingym.lm.io.errors import InputError

CONTEXT = 8
PLAN = BatchPlan(batch_windows=4, steps_per_block=3, warmup_steps=2)
Document = tuple[str, str, int]  # text, domain, and number of the quality's category
Window = tuple[str, int]  # the text of its document, and which of its windows


def built(path: Path, documents: list[Document], **other: Any) -> Task:
    """A task on a corpus of these training documents."""
    reference = other.get("reference", [f"reference {number}" for number in range(4)])
    texts = [text for text, _, _ in documents] + reference
    with CorpusWriter(path, ("prose",)) as writer:
        writer.add_split("train", texts[: -len(reference)])
        writer.add_split("prose/validation", reference[:2])
        writer.add_split("prose/trial", reference[2:3])
        writer.add_split("prose/test", reference[3:])
        writer.encode(train_tokenizer(texts, other.get("vocab_size", 257)))
        names = sorted({domain for _, domain, _ in documents})
        domain = [names.index(domain) for _, domain, _ in documents] + [0] * len(reference)
        quality = [quality for _, _, quality in documents] + [0] * len(reference)
        writer.add_labels("domain", Labels(tuple(names), None, np.array(domain, np.uint16)))
        values = tuple(map(float, range(5)))
        writer.add_labels("quality", Labels(tuple(map(str, values)), values, np.array(quality, np.uint16)))
    return Task(Corpus.open(path), CONTEXT, other.get("agents", ()))


def some_documents(rng: np.random.Generator, count: int, domains: str) -> list[Document]:
    """Of up to five windows, a few without text in common with any other, some twice."""
    lengths = rng.integers(1, 5 * CONTEXT, count)
    made = [
        ("".join(rng.choice(list("abcdefgh "), length)), str(rng.choice(list(domains))), int(rng.integers(2)))
        for length in lengths
    ]
    return made + [made[number] for number in rng.integers(0, count, count // 8)]


def a_dataset(task: Task, seed: int = 3, plan: BatchPlan = PLAN, **given: Any) -> ConsoleDataset:
    weights = np.zeros(len(task.agent_names))
    weights[[task.agent_names.index("null"), task.agent_names.index("quality")]] = 0.6, 0.4
    return ConsoleDataset(task, weights, plan, seed, with_ids=True, **given)


def window_of(task: Task, window_id: int) -> Window:
    return task.corpus.text(window_id >> PART_BITS), window_id & ((1 << PART_BITS) - 1)


def read(dataset: ConsoleDataset, steps: int | None = None) -> Iterator[Counter[Window]]:
    """The windows of each step."""
    loader = DataLoader(dataset, dataset.plan.batch)
    for step, batch in enumerate(loader):
        yield Counter(window_of(dataset.task, number) for number in batch["window_id"].tolist())
        if step + 1 == steps:
            return


def counts(dataset: ConsoleDataset, steps: int) -> Counter[Window]:
    return sum(read(dataset, steps), Counter()) if steps else Counter()


def saved(dataset: ConsoleDataset, step: int) -> Any:
    """A state, as it comes from a disk."""
    file = io.BytesIO()
    torch.save(dataset.state_at(step), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def resumed(task: Task, state: Any, **given: Any) -> ConsoleDataset:
    dataset = a_dataset(task)
    with pytest.warns(UserWarning, match="going on with a changed corpus"):
        dataset.load_state_dict(state, **given)
    return dataset


def every_window(task: Task) -> dict[Window, list[tuple[int, ...]]]:
    """The labels of the cells that have each window; a text that is there twice can be in two."""
    cells, found = task.cells, {}
    ids = cells.window_ids(np.arange(cells.windows_C.sum()))
    for number, cell in zip(ids.tolist(), np.repeat(np.arange(cells.num_cells), cells.windows_C).tolist(), strict=True):
        found.setdefault(window_of(task, number), []).append(cell)
    return found


def check_order(dataset: ConsoleDataset, used: Counter[Window], steps: int) -> Counter[Window]:
    """Read `steps` steps when `used` had been used: in each cell the windows that were used least come first. -> what
    has been used then."""
    task, used = dataset.task, Counter(used)
    by_cell: dict[int, list[Window]] = {}
    for window, cells in every_window(task).items():
        if len(cells) == 1:  # of a text that is there twice, nobody can tell which one it was
            by_cell.setdefault(cells[0], []).append(window)
    begun = dataset._begun // PLAN.rank_windows
    block: Counter[Window] = Counter()
    for step, windows in enumerate(read(dataset, steps), begun + 1):
        block += windows
        if PLAN.block_at(step) == PLAN.block_at(step - 1):
            continue
        used += block
        for cell, members in by_cell.items():
            drawn = [used[window] for window in members if window in block]
            if drawn and PLAN.block_at(step - 1) > PLAN.block_at(begun):
                assert min(used[window] for window in members) >= max(drawn) - 1, f"cell {cell}, step {step}"
        block = Counter()
    return used + block


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32), at=st.integers(0, 40), before=st.integers(2, 30), added=st.integers(1, 30),
    again=st.booleans(),
)  # fmt: skip
def test_the_least_used_come_first(seed: int, at: int, before: int, added: int, again: bool) -> None:
    """For corpora that grow at random, with new domains and other labels of old documents, once or twice."""
    rng = np.random.default_rng(seed)
    documents = some_documents(rng, before, "ac")
    with TemporaryDirectory() as folder:
        first = a_dataset(built(Path(folder) / "first", documents))
        used = counts(first, at)
        state, steps = saved(first, at), at
        for growth in range(1 + again):
            grown = documents + some_documents(rng, added, "abc")
            grown = [(text, domain, int(rng.integers(3))) for text, domain, _ in grown]
            grown = [grown[number] for number in rng.permutation(len(grown))]
            task = built(Path(folder) / f"grown-{growth}", grown)
            second = resumed(task, state)
            own = Counter(used)
            used = check_order(second, used, 14)
            assert used.total() == own.total() + 14 * PLAN.batch_windows
            steps += 14
            state, documents = saved(second, steps), grown
            times_W = second.sampler.times(0, second.sampler.used_NC[0])
            assert times_W.sum() == second.sampler.used_NC[0].sum()


def test_a_block_in_hand_ends_as_it_was_drawn(tmp_path: Path) -> None:
    documents = some_documents(np.random.default_rng(0), 40, "ac")
    task = built(tmp_path / "first", documents)
    state = saved(a_dataset(task), 6)  # block 2 is steps 5 to 7
    expected = list(read(a_dataset(task), 8))[6:]
    grown = built(tmp_path / "grown", some_documents(np.random.default_rng(1), 30, "b") + documents)
    second = resumed(grown, state)
    going_on = list(read(second, 8))
    assert going_on[:2] == expected
    again = a_dataset(grown)
    again.load_state_dict(saved(second, 7))  # still in the block, and on the same corpus
    assert list(read(again, 7)) == going_on[1:]
    again.load_state_dict(second.state_dict() | {"begun": 9 * PLAN.batch_windows, "yielded": 0})
    later = a_dataset(grown)
    later.load_state_dict(saved(second, 9))
    assert list(read(later, 5)) == going_on[3:]
    third = built(tmp_path / "third", documents + some_documents(np.random.default_rng(1), 30, "b"))
    assert next(read(resumed(third, saved(second, 7)), 1)) == expected[1]


def test_ranks_and_workers_agree_on_a_changed_corpus(tmp_path: Path) -> None:
    documents = some_documents(np.random.default_rng(0), 40, "ac")
    state = saved(a_dataset(built(tmp_path / "first", documents)), 6)
    grown = built(tmp_path / "grown", documents + some_documents(np.random.default_rng(1), 30, "b"))
    expected = list(read(resumed(grown, state), 8))
    halves = []
    for rank in (0, 1):
        dataset = a_dataset(grown, plan=replace(PLAN, rank=rank, world_size=2, num_blocks=8))
        with pytest.warns(UserWarning, match="33 documents are new"):
            dataset.load_state_dict(state)
        loader = DataLoader(dataset, dataset.plan.batch, num_workers=1)
        halves.append([Counter(window_of(grown, number) for number in batch["window_id"].tolist()) for batch in loader])
    assert [one + other for one, other in zip(*halves, strict=True)][:8] == expected


def test_removed_documents_are_refused_or_dropped(tmp_path: Path) -> None:
    documents = some_documents(np.random.default_rng(0), 40, "ac")
    first = a_dataset(built(tmp_path / "first", documents))
    used, state = counts(first, 6), saved(first, 6)
    gone = {text for text, _, _ in documents[:7]}
    number = sum(text in gone for text, _, _ in documents)
    task = built(tmp_path / "fewer", [document for document in documents if document[0] not in gone])
    with pytest.raises(InputError, match=rf"lacks {number} of the 45 training documents .* \(--drop-removed\)"):
        a_dataset(task).load_state_dict(state)
    second = resumed(task, state, drop_removed=True)
    kept = Counter({window: times for window, times in used.items() if window[0] not in gone})
    assert not any(text in gone for step in read(second, 2) for text, _ in step)
    check_order(resumed(task, state, drop_removed=True), kept, 14)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"begun": 13, "world_size": 2, "loader_batch": 2}, "only a state between two steps fits others"),
        ({"changes": torch.zeros(1, 4, dtype=torch.float64)}, "are not of one run: give the first weights as they"),
    ],
)
def test_a_refused_state_leaves_the_dataset_as_it_was(tmp_path: Path, other: dict[str, Any], said: str) -> None:
    documents = some_documents(np.random.default_rng(0), 40, "ac")
    state = saved(a_dataset(built(tmp_path / "first", documents)), 6)
    task = built(tmp_path / "grown", [*documents, ("new text", "a", 0)])
    dataset = a_dataset(task)
    dataset.load_state_dict(saved(a_dataset(task), 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is refused does not go on with a changed corpus
        with pytest.raises(InputError, match=said):
            dataset.load_state_dict(state | other)
    assert list(read(dataset, 5)) == list(read(a_dataset(task), 9))[4:]


def test_a_state_is_saved_while_its_corpus_is_built_anew(tmp_path: Path) -> None:
    """What a run needs of its corpus it has from what it opened, not from what lies in the folder by then."""
    documents = some_documents(np.random.default_rng(0), 40, "ac")
    dataset = a_dataset(built(tmp_path / "first", documents))
    expected = counts(resumed(built(tmp_path / "grown", [*documents, ("new text", "a", 0)]), saved(dataset, 6)), 9)
    (tmp_path / "first" / "tokenizer.json").unlink()
    (tmp_path / "first" / "tokenizer.json").write_text("{}")
    assert counts(resumed(Task(Corpus.open(tmp_path / "grown"), CONTEXT), saved(dataset, 6)), 9) == expected


def test_what_cannot_go_on_is_refused(tmp_path: Path) -> None:
    documents = some_documents(np.random.default_rng(0), 40, "ac")
    task = built(tmp_path / "first", documents)
    first = a_dataset(task)
    used = {text for text, _ in counts(first, 6)}
    state, bare = saved(first, 6), a_dataset(task).state_dict()
    cases = [
        ({"vocab_size": 260}, "^tokenizer of .* before it was .*: build it with --tokenizer and the folder of the"),
        ({"agents": ("null", "quality", "influence")}, "agents is null, quality, influence, null, domain, quality, in"),
        ({"reference": [*sorted(used)[:3], "new"]}, "3 documents that this was trained on are reference text in"),
    ]
    for number, (other_than_before, said) in enumerate(cases):
        other = built(tmp_path / f"other-{number}", documents, **other_than_before)
        with pytest.raises(InputError, match=said):
            a_dataset(other).load_state_dict(state)
    grown = built(tmp_path / "grown", [*documents, ("new text", "a", 0)])
    with pytest.raises(InputError, match="corpus is .* Make the dataset as it was"):
        a_dataset(grown).load_state_dict(bare)  # as `state_dict` gives it: without the documents
    with pytest.raises(InputError, match="seed is 4, 3 in the state"):
        a_dataset(grown, seed=4).load_state_dict(state)
    limited = a_dataset(task, pool_tokens=100.0)
    assert "text" not in limited.state_at(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a_dataset(task).load_state_dict(state)  # the same corpus: nothing to say
