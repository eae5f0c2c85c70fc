"""pretraingym corpus build, label and card, as a user runs them."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pretraingym.experiments import __main__ as command_line
from pretraingym.experiments.__main__ import parse
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.ingest.synthetic import DOMAINS, synthetic_documents
from pretraingym.lm.io.errors import InputError


def run(*arguments: object) -> dict[str, Any]:
    work, config = parse(["corpus", *map(str, arguments)])
    return work(config)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up documents in the labelled SlimPajama's layout, as jsonl.zst."""
    documents = synthetic_documents(0, 60)["train"]
    lines = [
        {
            "text": d.text,
            "domain": DOMAINS[d.domain],
            "attr-cc_en_topic": d.dialect,
            "attr-fineweb-edu": 5.0 * d.quality / 3,
        }
        for d in documents
    ]
    path = tmp_path_factory.mktemp("rows") / "part.jsonl.zst"
    path.write_bytes(pa.compress("".join(json.dumps(line) + "\n" for line in lines).encode(), "zstd", asbytes=True))
    return path


def test_the_labelled_slimpajama(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One flag: the paper's five bins with 5.0 in the top one, its topics, its domains, and held-out text as task."""
    result = run("build", "--preset", "slimpajama", "--files", rows, "--corpus", tmp_path / "c", "--hold-out", 0.1)
    corpus = Corpus.open(tmp_path / "c", verify=True)
    assert result["labels"] == list(corpus.labels) == ["domain", "match-heldout", "quality", "topic"]
    train = corpus.splits["train"]
    quality, truth = corpus.labels["quality"], [0.0, 5 / 3, 10 / 3, 5.0]
    assert len(quality.names) == 5
    assert np.bincount(quality.column[: train.stop], minlength=5)[[0, 1, 3, 4]].min() > 40
    np.testing.assert_allclose(np.array(quality.values)[[0, 1, 3, 4]], truth)
    assert corpus.labels["topic"].names == ("0", "1")
    assert set(corpus.labels["domain"].names) >= set(DOMAINS)
    card = capsys.readouterr().out
    assert card == (tmp_path / "c" / "card.md").read_text() + "\n"
    assert f"| train | {len(train):,} |" in card
    for index, name in enumerate(corpus.labels["domain"].names):
        inside = np.flatnonzero(corpus.labels["domain"].column[: train.stop] == index)
        tokens = int(np.diff(corpus.token_offsets)[inside].sum())
        assert f"| {name} |  | {len(inside):,} | {tokens:,} |" in card


def test_the_same_bytes_again_and_after_a_kill(rows: Path, tmp_path: Path) -> None:
    """A build that is killed leaves a part that the next one clears away; what it builds has the same fingerprint."""
    arguments = ("build", "--files", rows, "--hold-out", "0.1", "--corpus")
    first = run(*arguments, tmp_path / "a")["fingerprint"]
    command = [sys.executable, "-m", "pretraingym.experiments", "corpus", *map(str, arguments), str(tmp_path / "b")]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    begun = time.monotonic()
    while not list(tmp_path.glob(".b.*.part/tokens.bin")):
        assert killed.poll() is None, "it ended before it could be killed"
        assert time.monotonic() - begun < 100
        time.sleep(0.002)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "b").exists()
    assert list(tmp_path.glob(".b.*.part"))
    assert run(*arguments, tmp_path / "b")["fingerprint"] == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_references_from_files(rows: Path, tmp_path: Path) -> None:
    """Tasks with templates of their own, split in halves; training text that repeats them is left out."""
    paragraph = "this question stands word for word in the training text, and it is far longer than eighty characters"
    questions = [{"q": paragraph if i == 3 else f"question number {i}?", "a": {"text": [f"{i}"]}} for i in range(6)]
    for i, title in enumerate("xyxzzz"):
        questions[i]["title"] = title
    (tmp_path / "quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    (tmp_path / "more.jsonl").write_text(json.dumps({"text": f"head\n\n{paragraph}\n\nrest"}) + "\n")
    reference = ("--reference", "quiz", tmp_path / "quiz.jsonl", "--reference-group", "quiz", "title")
    template = ("--reference-text", "quiz", "{q}\n\n{a.text.0}")
    files = ("--files", rows, tmp_path / "more.jsonl")
    run("build", *files, *reference, *template, "--agents", "match-quiz", "--corpus", tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    assert corpus.reference_tasks == ("quiz",)
    assert [corpus.text(d) for d in corpus.splits["quiz/test"]][0] == f"{paragraph}\n\n3"
    halves = [[corpus.text(d)[-1] for d in corpus.splits[f"quiz/{half}"]] for half in ("validation", "test")]
    assert halves == [["0", "2", "1"], ["3", "4", "5"]]  # what has one title stays together
    assert len(corpus.splits["train"]) == 300
    assert corpus.counts == {"documents that share a paragraph with reference text, left out": 1}
    assert list(corpus.labels) == ["domain", "match-quiz"]


def sentences(count: int) -> list[str]:
    return [json.dumps({"text": f"sentence number {i} of a small corpus", "domain": i % 2}) for i in range(count)]


def test_bad_rows_are_left_out_counted_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the corpus's card, in the result and in the manifest; of a reference task's rows as well."""
    lines = sentences(400)
    lines[7], lines[9], lines[300] = '{"text": "cut', '{"text": ["a|b"]}', "[1]"
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    lines = sentences(200)
    lines[5] = "null"
    (tmp_path / "quiz.jsonl").write_text("\n".join(lines))
    reference = ("--reference", "quiz", tmp_path / "quiz.jsonl", "--agents", "match-quiz")
    result = run("build", "--files", tmp_path / "a.jsonl", *reference, "--corpus", tmp_path / "c")
    assert (result["bad_rows"], result["documents"]) == (4, 596)
    corpus = Corpus.open(tmp_path / "c", verify=True)
    assert [source["bad"] for source in corpus.bad_rows] == [3, 1]
    card = (tmp_path / "c" / "card.md").read_text()
    assert "3 of 400 rows are bad and left out." in card
    place = tmp_path / "a.jsonl"
    assert f"| 2 | without a JSON object | {place} line 8 (Invalid control character at, column 14" in card
    assert f"{place} line 301 (a list) |" in card
    assert f"| 1 | with a list as 'text' | {place} line 10 (['a\\|b']) |" in card
    assert "1 of 200 rows are bad and left out." in card
    capsys.readouterr()
    run("card", "--corpus", tmp_path / "c")
    assert capsys.readouterr().out == card + "\n"


def test_too_many_bad_rows_or_strict_leave_nothing_behind(tmp_path: Path) -> None:
    lines = sentences(99)
    lines[7], lines[9] = '{"text": "cut', '{"text": ["b"]}'
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    files = (
        "build",
        "--files",
        tmp_path / "a.jsonl",
        "--hold-out",
        "0.2",
        "--agents",
        "topic",
        "--corpus",
        tmp_path / "c",
    )
    with pytest.raises(
        InputError, match=r"2 of 99 rows are bad, .*; 1 row without a JSON.*; 1 row with a list as 'text'"
    ):
        run(*files)
    with pytest.raises(
        InputError, match=r"a.jsonl line 8 \(Invalid control character at, column 14\): a row without a JSON object"
    ):
        run(*files, "--strict", "--max-bad", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
    assert run(*files, "--max-bad", "0.03")["documents"] == 97
    reference = ("--reference", "quiz", tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="2 of 99 rows are bad"):
        run("build", "--files", tmp_path / "a.jsonl", *reference, "--corpus", tmp_path / "d")


def test_max_documents_counts_the_bad_rows_that_were_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join([*sentences(200), "null", *sentences(9), *["null"] * 99]))
    short = ("build", "--files", tmp_path / "a.jsonl", "--hold-out", "0.2", "--agents", "topic", "--max-documents")
    assert run(*short, "205", "--corpus", tmp_path / "c")["bad_rows"] == 1
    with pytest.raises(InputError, match="100 of 309 rows are bad"):
        run(*short, "210", "--corpus", tmp_path / "d")


def test_a_folder_of_languages(tmp_path: Path) -> None:
    for language in ("en", "de"):
        (tmp_path / "in" / f"lang={language}").mkdir(parents=True)
        rows = [f"text of {language} number {i};{i % 3}.0" for i in range(40)]
        (tmp_path / "in" / f"lang={language}" / "part.csv").write_text("\n".join(["", "text; topic", *rows]))
    columns = ("--columns.domain", "lang", "--columns.categories", "topic", "topic", "--csv-delimiter", ";")
    files = ("--files", tmp_path / "in", "--hold-out", "0.2", "--agents", "quality", "--corpus", tmp_path / "c")
    run("build", *files, *columns)
    labels = Corpus.open(tmp_path / "c").labels
    assert labels["domain"].names == ("de", "en")
    assert labels["topic"].names == ("0", "1", "2")


@pytest.fixture
def built(rows: Path, tmp_path: Path) -> Path:
    """The folder of a corpus that one agent has labelled."""
    run("build", "--files", rows, "--agents", "topic", "--hold-out", "0.1", "--corpus", tmp_path / "c")
    return tmp_path / "c"


def test_labels_for_a_built_corpus(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of agents and scores from elsewhere; the card follows."""
    np.save(tmp_path / "scores.npy", np.arange(Corpus.open(built).num_documents, dtype=np.float32))
    result = run("label", "--corpus", built, "--agents", "quality", "--scores", "age", tmp_path / "scores.npy")
    assert result["labels"] == ["age", "domain", "quality", "topic"]
    corpus = Corpus.open(built, verify=True)
    assert (np.diff(corpus.labels["age"].column.astype(int)) >= 0).all(), "rising scores have falling bins"
    assert len(corpus.labels["age"].names) == 5
    capsys.readouterr()
    assert run("card", "--corpus", built)["fingerprint"] == corpus.fingerprint
    assert "| age | value |" in capsys.readouterr().out


def test_bad_scores_are_refused(built: Path, tmp_path: Path) -> None:
    scores = np.arange(Corpus.open(built).num_documents, dtype=np.float32)
    np.save(tmp_path / "whole.npy", scores)
    np.save(tmp_path / "short.npy", scores[1:])
    np.save(tmp_path / "inf.npy", np.where(scores == 3, np.inf, scores))
    np.savez(tmp_path / "two.npz", scores)
    (tmp_path / "pk.npy").write_bytes(b"PK\x03\x04 and no more")
    for name, file, message in (
        ("age", "short.npy", r"scores 'age' in .* are float32 \(\d+,\), expected numbers \(\d+,\): one a document"),
        ("age", "none.npy", "none.npy is no .npy file of numbers"),
        ("age", "inf.npy", "hold infinite numbers"),
        ("age", "two.npz", "two.npz is no .npy file of numbers"),
        ("age", "pk.npy", "pk.npy is no .npy file of numbers"),
        ("influence", "whole.npy", "an agent without labels"),
        ("domain", "whole.npy", "as the column of the text's sources is"),
    ):
        with pytest.raises(InputError, match=message):
            run("label", "--corpus", built, "--scores", name, tmp_path / file)


def test_a_damaged_corpus_is_not_labelled(built: Path) -> None:
    """Or its new manifest would call the damaged file sound."""
    data = bytearray((built / "text.bin").read_bytes())
    data[5] ^= 1
    (built / "text.bin").write_bytes(data)
    with pytest.raises(InputError, match=r"text\.bin"):
        run("label", "--corpus", built, "--agents", "topic")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--files is missing; give --files, or --source dataset --dataset NAME"),
        (("--source", "dataset"), "--dataset is missing"),
        (("--source", "synthetic", "--files", "x"), "the source is 'synthetic' and --files is given"),
        (("--files", "nowhere.jsonl"), "no files are called nowhere.jsonl"),
        (("--files", "x", "--reference-text", "a", "b"), "names the task 'a', which has no files; add --reference"),
        (("--files", "x", "--cuts", "q", "1,2"), "cuts are for 'q', which is no score; add --columns.scores"),
        (("--preset", "slimpajama", "--files", "x", "--cuts.quality", "2,1"), "expected rising numbers"),
        (("--preset", "slimpajama", "--files", "x", "--cuts.quality", "low"), "expected numbers with commas"),
        (("--files", "x", "--max-documents", "0"), "max_documents is 0, expected at least 1"),
        (("--files", "x", "--vocab-size", "99999999999"), "expected 256, one token a byte, to 1,048,576"),
        (("--files", "x", "--reference", "a/b", "x"), "the name 'a/b' is given, expected letters, digits"),
        (("--files", "x", "--columns.scores", "null", "q"), "'null' is given, which is that of an agent without"),
        (("--files", "x", "--max-bad", "1.5"), "max_bad is 1.5, expected a share of the rows, from 0 to 1"),
        (("--files", "x", "--csv-delimiter", "::"), "csv_delimiter is '::', expected one character, as ';'"),
        (
            ("--files", "x", "--columns.text", "body"),
            "1 row without column 'body' (name yours with --columns): x/a.jsonl",
        ),
        (("--files", "x", "--tokenizer", "x"), "no tokenizer.json in x"),
        (("--files", "x", "--agents", "qualty"), "unknown agent 'qualty'; did you mean 'quality'"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own: put back after the test
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.jsonl").write_text('{"text": "a", "attr-cc_en_topic": 1, "attr-fineweb-edu": 1}\n')
    monkeypatch.setattr(sys, "argv", ["pretraingym", "corpus", "build", "--corpus", "c", *arguments])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert message in err.splitlines()[-1]
    assert out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x"]


def test_synthetic(tmp_path: Path) -> None:
    assert run("build", "--preset", "synthetic", "--corpus", tmp_path / "c")["reference_tasks"] == ["prose", "code"]
