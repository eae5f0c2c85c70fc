"""Records of files: every format gives the same ones; bad bytes, bad lines and cut files give one clear line."""

import bz2
import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from pretraingym.lm.ingest.readers import INVALID_UTF8, FileReader, Record, dataset_records, expand
from pretraingym.lm.io.errors import InputError

RECORDS = [{"text": "naïve\ncafé 🙂", "score": 1.5}, {"text": 'a "b", c', "score": 2.0}, {"text": "x", "score": 0.0}]
JSON_LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


def zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


def write_csv(path: Path) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "score"])
        writer.writeheader()
        writer.writerows(RECORDS)


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.jsonl": lambda path: path.write_bytes(JSON_LINES),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(JSON_LINES[:20]) + gzip.compress(JSON_LINES[20:])),
    "a.jsonl.zst": lambda path: path.write_bytes(zstd(JSON_LINES)),
    "a.jsonl.bz2": lambda path: path.write_bytes(bz2.compress(JSON_LINES)),
    "a.parquet": lambda path: parquet.write_table(pa.Table.from_pylist(RECORDS), path),
    "a.csv": write_csv,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_records(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    heard: list[float] = []
    records = list(FileReader().records([tmp_path / name], heard.append))
    assert [record.values["text"] for record in records] == [record["text"] for record in RECORDS]
    assert [float(record.values["score"]) for record in records] == [record["score"] for record in RECORDS]
    assert {record.stem for record in records} == {"a"}
    assert heard == [1.0]


def test_a_text_file_is_a_document_or_a_line_is(tmp_path: Path) -> None:
    path = tmp_path / "story.txt.gz"
    path.write_bytes(gzip.compress(b"one\r\ntwo\n"))
    assert list(FileReader().records([path])) == [Record(str(path), "story", {"text": "one\r\ntwo\n"})]
    lines = list(FileReader(document_a_line=True).records([path]))
    assert lines == [Record(f"{path} line {i}", "story", {"text": word}) for i, word in ((1, "one"), (2, "two"))]


def test_parquet_reads_only_what_is_asked(tmp_path: Path) -> None:
    WRITERS["a.parquet"](tmp_path / "a.parquet")
    records = list(FileReader(("text", "other")).records([tmp_path / "a.parquet"]))
    assert [list(record.values) for record in records] == [["text"]] * 3


def bad_parquet(path: Path) -> None:
    column = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb"))
    parquet.write_table(pa.table({"text": column}), path)


BAD_UTF8: dict[str, Callable[[Path], object]] = {
    "a.jsonl": lambda path: path.write_bytes(b'{"text": "a\xff"}\n{"text": "b"}\n'),
    "a.csv": lambda path: path.write_bytes(b"text\na\xff\nb\n"),
    "a.txt": lambda path: path.write_bytes(b"a\xff"),
    "a.parquet": bad_parquet,
}


@pytest.mark.parametrize("name", BAD_UTF8)
def test_invalid_utf8_is_replaced_and_counted_or_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    BAD_UTF8[name](path)
    counts: Counter[str] = Counter()
    records = list(FileReader(counts=counts).records([path]))
    assert records[0].values["text"] == "a\ufffd"
    assert counts == {INVALID_UTF8: 1}
    with pytest.raises(InputError, match=rf"{name}.* is not UTF-8 \(invalid start byte at byte \d+\)"):
        list(FileReader(refuse_invalid_utf8=True).records([path]))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text"\n', r"a.jsonl line 2 is no JSON"),
        ("a.jsonl", b'["text"]\n', "line 1 holds a list, expected one JSON object a line"),
        ("a.csv", b"text,score\nb\n", "row 1 has other columns than the header, which names text, score"),
        ("a.csv", b"text\nb,c\n", "row 1 has other columns"),
        ("a.csv", b'text\n"b\n', "cannot be read"),
        ("a.jsonl.gz", gzip.compress(JSON_LINES, mtime=0)[:-9], "cannot be read .*runcated"),
        ("a.jsonl.zst", zstd(JSON_LINES)[:-5], "cannot be read"),
        ("a.jsonl.gz", JSON_LINES, "cannot be read"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.jsonl", b"[" * 100_000, "line 1 is no JSON"),
        ("a.doc", b"", "a.doc is no file that can be read, expected .txt, .jsonl"),
    ],
    ids=range(11),
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        list(FileReader().records([tmp_path / name]))


def test_names_patterns_and_folders(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.txt", "deep/c.csv", "notes.doc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [tmp_path / name for name in ("a.txt", "b.jsonl", "deep/c.csv")]
    assert expand([str(tmp_path)]) == names
    assert expand([str(tmp_path / "**" / "*.csv"), str(tmp_path / "b.jsonl"), str(tmp_path)]) == [
        *names[:0:-1],
        names[0],
    ]
    with pytest.raises(InputError, match=r"no files are called .*\*.zip; name files"):
        expand([str(tmp_path / "*.zip")])


@pytest.mark.parametrize("streaming", [True, False])
def test_a_dataset_of_a_folder(tmp_path: Path, streaming: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes(JSON_LINES)
    records = list(dataset_records(str(folder), None, "train", streaming))
    assert [record.values for record in records] == RECORDS
    assert records[1].place == f"{folder} row 2"
    with pytest.raises(InputError, match="split 'validation', cannot be read"):
        list(dataset_records(str(folder), None, "validation", streaming))


def test_a_dataset_that_was_saved_to_disk(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    found = Dataset.from_list(RECORDS)
    found.save_to_disk(tmp_path / "one")
    DatasetDict({"test": found}).save_to_disk(tmp_path / "several")
    for name, split in (("one", "train"), ("several", "test")):
        assert [record.values for record in dataset_records(str(tmp_path / name), None, split, False)] == RECORDS


@pytest.mark.parametrize(("name", "data"), [("a.csv", b"text\na\n"), ("a.jsonl", b'{"text": "a"}\n')])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + data)
    assert [record.values for record in FileReader().records([tmp_path / name])] == [{"text": "a"}]


def test_a_parquet_file_without_the_columns_is_not_skipped(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"content": ["a", "b"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has none of the columns 'text', only 'content'"):
        list(FileReader(frozenset({"text"})).records([tmp_path / "a.parquet"]))
