"""Records of files: every format gives the same ones; bad bytes, bad lines and cut files give one clear line."""

import bz2
import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.records.readers import INVALID_UTF8, FileReader
from pretraingym.lm.records.record import BadFile, BadRow, Record

RECORDS = [{"text": "naïve\ncafé 🙂", "score": 1.5}, {"text": 'a "b", c', "score": 2.0}, {"text": "x", "score": 0.0}]
JSON_LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


def records(reader: FileReader, path: Path) -> list[Record]:
    """The records of a file that has no faults."""
    found = list(reader.records([path]))
    assert all(isinstance(each, Record) for each in found), found
    return found  # type: ignore[return-value]


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
    list(FileReader().records([tmp_path / name], heard.append))
    assert heard == [1.0]
    found = records(FileReader(), tmp_path / name)
    assert [record.values["text"] for record in found] == [record["text"] for record in RECORDS]
    assert [float(record.values["score"]) for record in found] == [record["score"] for record in RECORDS]
    assert {record.stem for record in found} == {"a"}


def test_a_text_file_is_a_document_or_a_line_is(tmp_path: Path) -> None:
    path = tmp_path / "story.txt.gz"
    path.write_bytes(gzip.compress(b"one\r\ntwo\n"))
    assert list(FileReader().records([path])) == [Record(str(path), "story", {"text": "one\r\ntwo\n"})]
    lines = list(FileReader(document_a_line=True).records([path]))
    assert lines == [Record(f"{path} line {i}", "story", {"text": word}) for i, word in ((1, "one"), (2, "two"))]


def test_parquet_reads_only_what_is_asked(tmp_path: Path) -> None:
    WRITERS["a.parquet"](tmp_path / "a.parquet")
    found = records(FileReader(("text", "other")), tmp_path / "a.parquet")
    assert [list(record.values) for record in found] == [["text"]] * 3


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
    assert records(FileReader(counts=counts), path)[0].values["text"] == "a\ufffd"
    assert counts == {INVALID_UTF8: 1}
    with pytest.raises(InputError, match=rf"{name}.* is not UTF-8 \(invalid start byte at byte \d+\)"):
        list(FileReader(refuse_invalid_utf8=True).records([path]))


BAD_ROWS: list[tuple[str, bytes, str, str]] = [
    ("a.jsonl", b'{"text": "a"}\n{"text"\n{"text": "b"}\n', "a.jsonl line 2", "without a JSON object"),
    ("a.jsonl", b'{"text": "a"}\n["b"]\n\n{"text": "b"}\n', "a.jsonl line 2 (a list)", "without a JSON object"),
    ("a.jsonl", b'{"text": "a"}\n1.5\n{"text": "b"}\n', "a.jsonl line 2 (a number)", "without a JSON object"),
    ("a.jsonl", b'{"text": "a"}\n12\n{"text": "b"}\n', "a.jsonl line 2 (a number)", "without a JSON object"),
    ("a.jsonl", b'{"text": "a"}\n"b"\n{"text": "b"}\n', "a.jsonl line 2 (text)", "without a JSON object"),
    ("a.jsonl", b'{"text": "a"}\nnull\n{"text": "b"}\n', "a.jsonl line 2 (null)", "without a JSON object"),
    ("a.jsonl", b'{"text": "a"}\n' + b"[" * 100_000 + b'\n{"text": "b"}', "line 2", "without a JSON object"),
    ("a.csv", b"text\na\nb,c\nb\n", "a.csv row 2, line 3 (2 columns, the header names 1)", "with other columns"),
    ("a.csv", b'text,n\na,1\n"b" c,2\nb,3\n', "a.csv row 2, line 3 (',' expected after", "with stray quotes"),
    ("a.csv", b'text,n\n"a",1\n"b,2\n"b",3\n', "a.csv row 2, line 3 (',' expected after", "with stray quotes"),
    ("a.csv", b'text\na\n"c\nb\n', "a.csv row 2, line 3 (unexpected end of data)", "with stray quotes"),
    ("a.csv", b'text,n\n"a",1\n"c\nd" e,2\nb,3\n', "a.csv row 2, line 3 (',' expected", "with stray quotes"),
]


@pytest.mark.parametrize(("name", "data", "where", "kind"), BAD_ROWS)
def test_a_bad_row_is_told_and_the_others_are_read(
    tmp_path: Path, name: str, data: bytes, where: str, kind: str
) -> None:
    (tmp_path / name).write_bytes(data)
    found = list(FileReader().records([tmp_path / name]))
    assert [each.values["text"] for each in found if isinstance(each, Record)] == ["a", "b"]
    fault = next(each for each in found if isinstance(each, BadRow))
    assert where in fault.where
    assert kind in fault.kind


BAD_FILES: list[tuple[str, bytes, str]] = [
    ("a.jsonl.gz", gzip.compress(JSON_LINES, mtime=0)[:-9], "cannot be read .*runcated"),
    ("a.jsonl.zst", zstd(JSON_LINES)[:-5], r"cannot be read \(the compressed data ends early\), expected a whole file"),
    ("a.jsonl.zst", zstd(JSON_LINES * 99_999) + b"rest", "cannot be read after [1-9][0-9,]* rows"),
    ("a.jsonl.gz", JSON_LINES, "cannot be read"),
    ("a.jsonl.bz2", bz2.compress(JSON_LINES)[:-9], "cannot be read"),
    ("a.parquet", b"PAR1", "cannot be read"),
    ("a.csv", b'"text" x,y\na,b\n', "has no header that is csv"),
    ("a.csv", b"text;n\na;b\n", r"has no column 'text', only 'text;n'; .*separated by ';'\? then add --csv-delimiter"),
    ("a.csv", b"text,text\na,b\n", "has two columns called 'text'; rename one"),
    ("a.csv", b"text, text\na,b\n", "has two columns called 'text'; rename one"),
    ("a.txt", "a text".encode("utf-16-le"), "UTF-16 or UTF-32 without a byte order mark; save it as UTF-8"),
    ("a.jsonl", b'\xff\xfe{\0"', r"cannot be read \(.*utf-16.*truncated data"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_a_bad_file_is_told_and_the_others_are_read(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "z.txt").write_text("the next file")
    *_, fault, last = FileReader(("text",), ("text",)).records([tmp_path / name, tmp_path / "z.txt"])
    assert isinstance(fault, BadFile)
    assert re.search(message, str(fault))
    assert isinstance(last, Record)
    assert last.values == {"text": "the next file"}


def test_a_file_that_is_gone_or_closed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "nowhere.jsonl")
    (found,) = FileReader().records([tmp_path / "a.jsonl"])
    assert str(found).startswith(f"{tmp_path}/a.jsonl cannot be read (No such file or directory)")


MARKED = ("utf-8-sig", "utf-16", "utf-32")


@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "text,n\nä🙂,1\n"), ("a.jsonl", '{"text": "ä🙂"}\n'), ("a.txt", "ä🙂"), ("a.tsv", "text\nä🙂")],
)
def test_a_byte_order_mark_tells_the_encoding_and_is_no_text(
    tmp_path: Path, name: str, text: str, encoding: str
) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    (record,) = records(FileReader(), tmp_path / name)
    assert record.values["text"] == "ä🙂"


def test_big_endian_text(tmp_path: Path) -> None:
    for encoding in ("utf-16-be", "utf-32-be"):
        (tmp_path / "a.txt").write_bytes("\ufeffone\ntwo\n".encode(encoding))
        lines = records(FileReader(document_a_line=True), tmp_path / "a.txt")
        assert [line.values["text"] for line in lines] == ["one", "two"]


def test_zstd_frames_with_a_long_window(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    data = b""
    for part in (JSON_LINES[:20], JSON_LINES[20:]):
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        data += packer.compress(part) + packer.flush()
    (tmp_path / "a.jsonl.zst").write_bytes(data)
    assert [record.values for record in records(FileReader(), tmp_path / "a.jsonl.zst")] == RECORDS


def test_half_a_surrogate_pair_is_replaced_wherever_it_is(tmp_path: Path) -> None:
    line = r'{"text": "a\ud83d", "d\udc00": ["\ud83d\ude42", {"x": "\uD800b"}], "n": 1}'
    (tmp_path / "a.jsonl").write_text(line)
    counts: Counter[str] = Counter()
    (record,) = records(FileReader(counts=counts), tmp_path / "a.jsonl")
    assert record.values == {"text": "a\ufffd", "d\ufffd": ["🙂", {"x": "\ufffdb"}], "n": 1}
    assert counts == {INVALID_UTF8: 1}
    with pytest.raises(InputError, match="a.jsonl line 1 has half of a surrogate pair; mend it"):
        list(FileReader(refuse_invalid_utf8=True).records([tmp_path / "a.jsonl"]))


def test_csv_headers_as_people_write_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n , \n\ntext, n ,,\na,1,,\n\nb,2,,\n")
    (tmp_path / "a.tsv").write_text('text\tn\n"a\tb"\t1\n')
    (tmp_path / "b.csv").write_text("text;n\n1,5;2\n")
    assert [row.values for row in records(FileReader(), tmp_path / "a.csv")] == [
        {"text": "a", "n": "1", "": ""},
        {"text": "b", "n": "2", "": ""},
    ]
    assert records(FileReader(), tmp_path / "a.tsv")[0].values == {"text": "a\tb", "n": "1"}
    assert records(FileReader(delimiter=";"), tmp_path / "b.csv")[0].values == {"text": "1,5", "n": "2"}


def test_two_columns_of_one_name_matter_where_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,id\n1,a,2\n")
    twice = pa.table([pa.array(["a"]), pa.array([1]), pa.array([2])], names=["text", "id", "id"])
    parquet.write_table(twice, tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        assert records(FileReader(("text",)), tmp_path / name)[0].values["text"] == "a"
        (fault,) = FileReader(("text", "id")).records([tmp_path / name])
        assert str(fault) == f"{tmp_path / name} has two columns called 'id'; rename one"


def test_folders_give_columns(tmp_path: Path) -> None:
    folder = tmp_path / "lang=pt%2DBR" / "year=2024" / "part=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"text": "a", "year": 1999}\n')
    (folder / "a.csv").write_text("text\na\n")
    (folder / "a.txt").write_text("a")
    parquet.write_table(pa.table({"text": ["a"]}), folder / "a.parquet")
    for name, year in (("a.jsonl", 1999), ("a.csv", "2024"), ("a.txt", "2024"), ("a.parquet", "2024")):
        (record,) = records(FileReader(("text", "year"), ("text", "lang")), folder / name)
        assert record.values == {"text": "a", "lang": "pt-BR", "year": year, "part": None}, name


def test_a_parquet_file_without_a_required_column(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"content": ["a", "b"], "meta": [{"x": 1}, {"x": 2}]}), tmp_path / "a.parquet")
    (fault,) = FileReader(("text", "meta"), ("text", "meta.x")).records([tmp_path / "a.parquet"])
    assert "a.parquet has no column 'text', only 'content', 'meta'; name yours with --columns" in str(fault)
    assert isinstance(fault, BadFile)


def test_dictionary_columns_and_classes_of_parquet(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, List, Value

    names = ClassLabel(names=["web", "code"])
    features = Features({"text": Value("string"), "label": names, "more": {"labels": List(names)}})
    rows = [{"text": "a", "label": 1, "more": {"labels": [0, 1]}}, {"text": "b", "label": None, "more": {"labels": []}}]
    Dataset.from_list(rows, features).to_parquet(tmp_path / "a.parquet")
    assert [record.values for record in records(FileReader(), tmp_path / "a.parquet")] == [
        {"text": "a", "label": "code", "more": {"labels": ["web", "code"]}},
        {"text": "b", "label": None, "more": {"labels": []}},
    ]
    parquet.write_table(pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode()}), tmp_path / "b.parquet")
    assert [record.values["text"] for record in records(FileReader(), tmp_path / "b.parquet")] == ["a", "b", "a"]


def test_the_share_that_is_read_is_never_said_too_high(tmp_path: Path) -> None:
    row = '{"text": "' + "x" * 5000 + '"}\n'
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(row * 2000)
    reader = FileReader()
    shares = [reader.share_read() for _ in reader.records([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])]
    assert all(share <= (number + 1) / 4000 for number, share in enumerate(shares))
    assert shares[1500] > 0.1
    assert shares[-1] > 0.8
