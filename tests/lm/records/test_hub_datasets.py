"""Records of datasets: only what is asked for is read, classes come by name, and errors say why in one line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.records.hub_datasets import dataset_records

ROWS = [{"text": "one", "score": 1.5}, {"text": "two", "score": 2.0}, {"text": "three", "score": 0.0}]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize("streaming", [True, False])
def test_a_folder(folder: Path, streaming: bool) -> None:
    (folder / "train.jsonl").write_bytes(lines(ROWS))
    records = list(dataset_records(str(folder), None, "train", streaming))
    assert [record.values for record in records] == ROWS
    assert (records[1].place, records[1].stem) == (f"{folder} row 2", "data")
    (first, *_) = dataset_records(str(folder), None, "train", streaming, ("text", "domain"), ("text",))
    assert first.values == {"text": "one"}
    with pytest.raises(InputError, match="split 'validation', cannot be read"):
        list(dataset_records(str(folder), None, "validation", streaming))
    with pytest.raises(InputError, match="data' has no column 'body', only 'text', 'score'; name yours with --columns"):
        list(dataset_records(str(folder), None, "train", streaming, ("body",), ("body",)))


def test_one_that_was_saved_to_disk(tmp_path: Path) -> None:
    found = Dataset.from_list(ROWS)
    found.save_to_disk(tmp_path / "one")
    DatasetDict({"test": found}).save_to_disk(tmp_path / "several")
    for name, split in (("one", "train"), ("several", "test")):
        assert [record.values for record in dataset_records(str(tmp_path / name), None, split, False)] == ROWS


def broken_pictures() -> Dataset:
    picture = {"path": None, "bytes": b"no picture"}
    names = ClassLabel(names=["web", "code"])
    features = Features(
        {"text": Value("string"), "image": Image(), "meta": {"kind": names, "icon": Image(), "kinds": List(names)}}
    )
    meta = [{"kind": kind, "icon": picture, "kinds": [1, kind]} for kind in (0, 1)]
    table = pa.table({"text": ["a", "b"], "image": [picture] * 2, "meta": meta}).cast(features.arrow_schema)
    return Dataset(table)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("saved", [True, False])
def test_nothing_is_decoded_and_classes_have_names(folder: Path, saved: bool, streaming: bool) -> None:
    if saved:
        broken_pictures().save_to_disk(folder)
    else:
        broken_pictures().to_parquet(folder / "train.parquet")
    for columns in (("text", "meta"), None):
        found = [record.values for record in dataset_records(str(folder), None, "train", streaming, columns)]
        assert [values["text"] for values in found] == ["a", "b"]
        assert [values["meta"]["kind"] for values in found] == ["web", "code"]
        assert found[1]["meta"]["kinds"] == ["code", "code"]
        assert found[0]["meta"]["icon"]["bytes"] == b"no picture"


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {
                "train-0.jsonl": lines([{"text": "a", "m": None}]),
                "train-1.jsonl": lines([{"text": "b", "m": {"x": 1}}]),
            },
            "TypeError: Couldn't cast array of type struct<x: int64> to null.*; --files may read the folder",
        ),
        ({"train.jsonl.gz": gzip.compress(lines(ROWS) * 99)[:-9]}, "EOFError: .*; a file is cut or damaged, fetch it"),
        (
            {"train.jsonl.gz": gzip.compress(lines(ROWS), mtime=0)[:10] + b"\x07" * 40},
            "error: .*; a file is cut or damaged, fetch it",
        ),
        (
            {"train.jsonl.zst": pa.compress(lines(ROWS), "zstd", asbytes=True)[:-9]},
            "it has no rows; is a file of it cut",
        ),
    ],
    ids=["drift", "cut", "corrupt", "cut zstd"],
)
def test_what_cannot_be_read_says_why(folder: Path, files: dict[str, bytes], message: str, streaming: bool) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as error:
        list(dataset_records(str(folder), None, "train", streaming, ("text",), ("text",)))
    assert "\n" not in str(error.value)


def test_zstd_is_read(folder: Path) -> None:
    (folder / "train.jsonl.zst").write_bytes(pa.compress(lines(ROWS), "zstd", asbytes=True))
    assert [record.values for record in dataset_records(str(folder), None, "train", True)] == ROWS
