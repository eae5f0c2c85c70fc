"""Slices of a text by repository, which do not mix what is for learning with what is sealed."""

import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pretraingym.experiments.benchmarks import corpus_slices
from pretraingym.experiments.benchmarks.corpus_slices import LEARNING, SEALED, SlicesConfig, write_slices
from pretraingym.lm.io.errors import InputError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two domains of twelve repositories each; one of them is most of its domain."""
    (tmp_path / "corpus").mkdir()
    for domain in ("code", "web"):
        of = [f"{domain}/{place % 12 if place < 60 else 0}" for place in range(120)]
        columns = {
            "text": [f"{domain} {place} " * 20 for place in range(120)],
            "domain": [domain] * 120,
            "source": [f"{repository}:file-{place}" for place, repository in enumerate(of)],
        }
        pq.write_table(pa.table(columns), tmp_path / "corpus" / f"train-{domain}.parquet")
    return tmp_path


@pytest.mark.parametrize("seed", [0, 1])
def test_no_repository_is_in_slices_of_both_kinds(data: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_slices, "SMALLEST", 4e3)
    monkeypatch.setattr(corpus_slices, "LARGEST", 2e4)
    written = write_slices(SlicesConfig(data, data / "slices", seed))
    assert len(written) == LEARNING + SEALED
    of_kind: dict[str, set[str]] = {"learning": set(), "sealed": set()}
    for number, path in enumerate(written):
        table = pq.read_table(path)
        repositories = [source.partition(":")[0] for source in table["source"].to_pylist()]
        of_kind[path.name.partition("-")[0]] |= set(repositories)
        place = number + 1 if number < LEARNING else number + 1 - LEARNING
        expected = repositories if place % 2 == 0 else [name.partition("/")[0] for name in repositories]
        assert table["domain"].to_pylist() == expected
        assert 0 < sum(map(len, table["text"].to_pylist())) <= 2e4
    assert of_kind["learning"].isdisjoint(of_kind["sealed"])
    assert {"code/0", "web/0"} <= of_kind["learning"]  # most of their domains
    assert {name.partition("/")[0] for name in of_kind["sealed"]} == {"code", "web"}


def test_another_seed_draws_other_slices(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_slices, "SMALLEST", 4e3)
    monkeypatch.setattr(corpus_slices, "LARGEST", 2e4)
    first, again, other = (
        [pq.read_table(path) for path in write_slices(SlicesConfig(data, data / name, seed))]
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert first == again
    assert first != other


def test_refuses_a_folder_without_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no corpus/train-"):
        write_slices(SlicesConfig(tmp_path, tmp_path / "slices"))


def test_refuses_a_folder_that_exists_and_leaves_it_as_it_is(data: Path) -> None:
    (data / "slices").mkdir()
    with pytest.raises(InputError, match="exists; name a new --folder"):
        write_slices(SlicesConfig(data, data / "slices"))
    assert list((data / "slices").iterdir()) == []


def test_a_slice_has_a_document_where_each_is_too_long(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_slices, "SMALLEST", 10)
    monkeypatch.setattr(corpus_slices, "LARGEST", 20)
    for path in write_slices(SlicesConfig(data, data / "slices")):
        assert pq.read_metadata(path).num_rows == 1


def test_rows_with_gaps_are_left_out(data: Path) -> None:
    expected = [pq.read_table(path) for path in write_slices(SlicesConfig(data, data / "whole"))]
    gaps = {"text": [None, "a", "b"], "domain": ["web", None, "web"], "source": ["web/99:file", "web/98:file", None]}
    pq.write_table(pa.table(gaps), data / "corpus" / "train-gaps.parquet")
    assert [pq.read_table(path) for path in write_slices(SlicesConfig(data, data / "slices"))] == expected


def test_a_failure_midway_leaves_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write_table = sorted(data.iterdir()), pq.write_table

    def full_disk(table: pa.Table, path: Path, compression: str) -> None:
        if path.name == "learning-03.parquet":
            raise OSError("no space left")
        write_table(table, path, compression=compression)

    monkeypatch.setattr(pq, "write_table", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_slices(SlicesConfig(data, data / "slices"))
    assert sorted(data.iterdir()) == before


def test_what_a_killed_process_left_is_removed(data: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (data / f".slices.{dead.pid}.part").mkdir()
    written = write_slices(SlicesConfig(data, data / "slices"))
    assert sorted(path.name for path in data.iterdir()) == ["corpus", "slices"]
    assert sorted((data / "slices").iterdir()) == sorted(written)


def test_refuses_text_of_one_repository(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    columns = {"text": ["a", "b"], "domain": ["web"] * 2, "source": ["web/0:1", "web/0:2"]}
    pq.write_table(pa.table(columns), tmp_path / "corpus" / "train-web.parquet")
    with pytest.raises(InputError, match="no repositories for sealed slices"):
        write_slices(SlicesConfig(tmp_path, tmp_path / "slices"))
    assert not (tmp_path / "slices").exists()
