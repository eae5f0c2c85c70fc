"""Which files of a name, a pattern or a folder are data."""

import os
from collections import Counter
from pathlib import Path

import pytest

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.records.data_files import PASSED_OVER, data_file, expand

DATA = ("A.TXT", "B.JSONL.GZ", "deep/c.Csv", "deep/d.tsv", "e.Parquet", "f_.text.bz2")
OTHER = (
    ".hidden.txt", "._a.jsonl", "dataset_info.json", "deep/STATE.json", "notes.doc", "README.md", "x.gz",
)  # fmt: skip
UNSEEN = (".ipynb_checkpoints/A-checkpoint.txt", "__MACOSX/a.txt", "deep/.git/b.txt", "_delta_log/0.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*DATA, *OTHER, *UNSEEN):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_holds_data_and_other_files(folder: Path) -> None:
    counts: Counter[str] = Counter()
    assert expand([str(folder)], counts) == sorted(folder / name for name in DATA)
    assert counts == {PASSED_OVER: len(OTHER)}


def test_patterns_pass_over_what_folders_do(folder: Path) -> None:
    assert expand([str(folder / "**" / "*")]) == sorted(folder / name for name in DATA)
    with pytest.raises(InputError, match=r"no files are called .*\*.zip; name files"):
        expand([str(folder / "*.zip")])
    with pytest.raises(InputError, match="no files are called"):
        expand([str(folder / "*.doc")])


def test_a_file_named_outright_is_read_or_refused(folder: Path) -> None:
    named = [folder / name for name in ("dataset_info.json", "._a.jsonl", "__MACOSX/a.txt")]
    assert expand(map(str, named)) == named
    assert expand([str(folder / "__MACOSX")]) == named[2:]
    with pytest.raises(InputError, match="notes.doc is no file that can be read, expected .txt, .jsonl"):
        expand([str(folder / "A.TXT"), str(folder / "notes.doc")])


def test_a_folder_that_datasets_saved(tmp_path: Path) -> None:
    for name in ("state.json", "dataset_info.json", "data-00000-of-00001.arrow"):
        (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=f"save_to_disk of datasets wrote: --source dataset --dataset {tmp_path} reads"
    ):
        expand([str(tmp_path)])


def test_each_file_once_in_the_order_given(folder: Path) -> None:
    found = expand([str(folder / "deep" / "*"), str(folder / "A.TXT"), str(folder)])
    assert found[:3] == [folder / "deep" / "c.Csv", folder / "deep" / "d.tsv", folder / "A.TXT"]
    assert len(found) == len(DATA)


def test_names_that_are_no_utf8() -> None:
    """As a disk from an older system has them: the stem can be written down."""
    file = data_file(Path(os.fsdecode(b"lang=fran\xe7ais/caf\xe9.JSONL.zst")))
    assert (file.stem, file.kind, file.partitions) == ("caf\ufffd", ".jsonl", {"lang": "fran\ufffdais"})
