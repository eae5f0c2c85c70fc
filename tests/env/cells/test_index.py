"""The cell index against sorting documents in plain Python: what is in a cell, and in which order."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretraingym.env.cells import builder as cell_builder
from pretraingym.env.cells import label_codes
from pretraingym.env.cells import store as cell_store
from pretraingym.env.cells.builder import LabelledDocuments, build_cells
from pretraingym.env.cells.index import GROUP_DOCUMENTS, CellIndex
from pretraingym.env.cells.store import open_cells, stored_cells, write_cells
from pretraingym.env.scenarios.task import Task
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.windows import PART_BITS, Windows
from pretraingym.lm.io.errors import InputError

CONTEXT = 10
NAMES = ("domain", "topic")


def labelled(lengths: list[int], labels: list[tuple[int, ...]], documents: range | None = None) -> LabelledDocuments:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    columns = {f"agent{i}": np.array(column, np.uint16) for i, column in enumerate(zip(*labels, strict=True))}
    return LabelledDocuments(offsets, CONTEXT, documents or range(len(lengths)), columns)


def of_corpus(corpus: Corpus) -> LabelledDocuments:
    columns = {name: corpus.labels[name].column for name in NAMES}
    return LabelledDocuments(corpus.token_offsets, 32, corpus.splits["train"], columns)


def all_ids(index: CellIndex) -> list[np.ndarray]:
    """The window ids of each cell."""
    ids = index.window_ids(np.arange(index.windows_C.sum()))
    return np.split(ids, index.first_C[1:])


def check(index: CellIndex, source: LabelledDocuments) -> None:
    """Each cell has, in lexicographic order of labels, the windows of its documents in corpus order."""
    lengths = np.diff(source.token_offsets)
    cells: dict[tuple[int, ...], list[int]] = {}
    for document in source.documents:
        if lengths[document]:
            labels = tuple(int(column[document]) for column in source.columns.values())
            cells.setdefault(labels, []).append(document)
    assert [tuple(labels) for labels in index.labels_CA.tolist()] == sorted(cells)
    for labels, ids, tokens in zip(sorted(cells), all_ids(index), index.tokens_C, strict=True):
        parts = [(d, part) for d in cells[labels] for part in range(-(-lengths[d] // source.context))]
        assert ids.tolist() == [d << PART_BITS | part for d, part in parts]
        assert tokens == sum(min(lengths[d], source.context) for d, _ in parts)
    assert index.natural_C.sum() == pytest.approx(1)


LABELS = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 3))
DOCUMENTS = st.lists(st.tuples(st.one_of(st.integers(0, 25), st.integers(0, 3000)), LABELS), min_size=1, max_size=300)


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.integers(0, 20), st.sampled_from([GROUP_DOCUMENTS, 1 << 20]))
def test_cells_hold_their_documents(documents: list[tuple[int, tuple[int, ...]]], skipped: int, chunk: int) -> None:
    """Documents of very unequal length, some without tokens, in a range that starts anywhere, read in any chunks."""
    lengths, labels = map(list, zip(*documents, strict=True))
    source = labelled(lengths, labels, range(min(skipped, len(lengths) - 1), len(lengths)))
    if not any(lengths[source.documents.start :]):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell_builder, "CHUNK", chunk)
        patch.setattr(cell_builder, "CHUNK_BITS", chunk.bit_length() - 1)
        check(build_cells(source), source)


def test_many_chunks_and_long_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of windows a document, so that the windows of a group take more than 16 bits to count."""
    monkeypatch.setattr(cell_builder, "CHUNK", GROUP_DOCUMENTS)
    monkeypatch.setattr(cell_builder, "CHUNK_BITS", GROUP_DOCUMENTS.bit_length() - 1)
    rng = np.random.default_rng(0)
    lengths = [*rng.integers(0, 60, 500).tolist(), *rng.integers(15_000, 20_000, 100).tolist()]
    labels = [(int(a), int(b)) for a, b in rng.integers(0, 3, (500, 2))]
    source = labelled(lengths, [*labels, *[(1, 1)] * 100])
    check(build_cells(source), source)


def test_a_corpus(tiny_corpus: Corpus) -> None:
    source = of_corpus(tiny_corpus)
    index = build_cells(source)
    check(index, source)
    ids = np.concatenate(all_ids(index))
    assert sorted(ids) == Windows(tiny_corpus, 32).ids(source.documents).tolist()
    assert Windows(tiny_corpus, 32).lengths(ids).sum() == index.tokens_C.sum()


def test_numbers_need_no_order() -> None:
    rng = np.random.default_rng(0)
    source = labelled(
        rng.integers(0, 60, 5 * GROUP_DOCUMENTS).tolist(), [(int(x),) for x in rng.integers(0, 3, 5 * GROUP_DOCUMENTS)]
    )
    index = build_cells(source)
    numbers = rng.integers(0, index.windows_C.sum(), 20_000)  # more than a block
    np.testing.assert_array_equal(index.window_ids(numbers), np.concatenate(all_ids(index))[numbers])


def test_a_cell_of_documents_without_tokens_is_not_occupied() -> None:
    source = labelled([5, 0, 0, 7], [(0,), (1,), (1,), (2,)])
    assert build_cells(source).labels_CA.tolist() == [[0], [2]]
    with pytest.raises(InputError, match="none of the 2 documents has tokens, expected one at least"):
        build_cells(labelled([0, 0], [(0,), (1,)]))


def test_labels_of_many_columns_and_large_numbers() -> None:
    """More label tuples are possible than an int64 can number."""
    rng = np.random.default_rng(1)
    labels = [tuple(map(int, chosen)) for chosen in rng.choice([0, 1, 65_535], (400, 9))]
    source = labelled([3] * 400, labels)
    check(build_cells(source), source)


def test_too_many_cells_name_the_agents(tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_codes, "MAX_CELLS", 3)
    monkeypatch.setattr(cell_builder, "MAX_CELLS", 3)
    with pytest.raises(InputError, match=r"at most 3: coarsen the finest agents: topic \(10\), domain \(5\)"):
        build_cells(of_corpus(tiny_corpus))


def test_labels_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(InputError, match=r"labels 'agent0' have shape \(3,\), expected \(4,\): one a document"):
        labelled([1, 2, 3, 4], [(0,), (0,), (0,)])


# -- in a folder --------------------------------------------------------------------------------------------------


def same(one: CellIndex, other: CellIndex) -> None:
    for field in fields(CellIndex):
        name = field.name
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name, strict=True)


def test_an_index_in_a_folder_is_the_index(tiny_corpus: Corpus, tmp_path: Path) -> None:
    source = of_corpus(tiny_corpus)
    write_cells(tmp_path / "cells", source)
    same(open_cells(tmp_path / "cells"), build_cells(source))
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]


def test_files_have_the_names_of_indices_that_are_on_disks(tiny_corpus: Corpus, tmp_path: Path) -> None:
    """Other names would make every stored index unreadable."""
    write_cells(tmp_path / "cells", of_corpus(tiny_corpus))
    assert {path.name for path in (tmp_path / "cells").iterdir()} == {
        "manifest.json",
        "labels_CA.npy",
        "windows_C.npy",
        "tokens_C.npy",
        "document_R.npy",
        "start_R.npy",
        "group_start_G.npy",
    }


def test_a_stored_index_is_built_once(tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = of_corpus(tiny_corpus)
    stored_cells(tmp_path / "cells", source)
    manifest = tmp_path / "cells" / "manifest.json"
    before = manifest.stat().st_mtime_ns
    write_cells(tmp_path / "cells", source)  # as another process might at the same time: the first stays
    assert manifest.stat().st_mtime_ns == before
    monkeypatch.setattr(cell_store, "write_cells", None)
    same(stored_cells(tmp_path / "cells", source), build_cells(source))


def test_where_no_folder_can_be_written_the_index_is_in_memory(tiny_corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    source = of_corpus(tiny_corpus)
    same(stored_cells(tmp_path / "file" / "cells", source), build_cells(source))


@pytest.mark.parametrize("damage", ["short", "absent", "manifest", "schema"])
def test_a_damaged_index_is_refused(tiny_corpus: Corpus, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "cells"
    write_cells(folder, of_corpus(tiny_corpus))
    if damage == "short":
        (folder / "start_R.npy").write_bytes((folder / "start_R.npy").read_bytes()[:-1])
    elif damage == "absent":
        (folder / "labels_CA.npy").unlink()
    else:
        (folder / "manifest.json").write_text('{"schema": 99}' if damage == "schema" else "{")
    with pytest.raises(InputError, match="is no whole cell index .*; delete it, and it is built again"):
        open_cells(folder)


def test_the_index_of_a_large_corpus_lies_beside_it(
    tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = Task(tiny_corpus, 32)
    monkeypatch.setattr("pretraingym.env.scenarios.task.IN_MEMORY", 100)
    monkeypatch.setattr(tiny_corpus, "path", tmp_path)
    same(Task(tiny_corpus, 32).cells, in_memory.cells)
    Task(tiny_corpus, 16)
    Task(tiny_corpus, 32, ("null", "domain"))
    assert len(list(tmp_path.glob("cells-*"))) == 3  # an index for each context and choice of labels
