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
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.corpus_commands import label as label_command
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.ingest.synthetic import DOMAINS, build_synthetic, synthetic_documents
from pretraingym.lm.io.errors import InputError

COMMAND = ("-m", "pretraingym.experiments", "corpus")
SHARE = ("--hold-out", "0.01")
pytestmark = pytest.mark.filterwarnings("ignore:reference task .* standard error of")


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


def test_a_label_of_the_files_stands_in_place_of_an_agents(rows: Path, tmp_path: Path) -> None:
    score = ("--columns.scores", "quality", "attr-fineweb-edu")
    result = run("build", "--files", rows, "--corpus", tmp_path / "c", "--hold-out", 0.1, *score)
    assert result["labels"] == ["domain", "match-heldout", "quality", "topic"]
    values = Corpus.open(tmp_path / "c").labels["quality"].values
    assert values is not None
    assert set(np.round(values, 2)) <= {0.0, 1.67, 3.33, 5.0}


def test_the_same_bytes_again_and_after_a_kill(rows: Path, tmp_path: Path) -> None:
    """A build that is killed leaves a part that the next one clears away; what it builds has the same fingerprint."""
    arguments = ("build", "--files", rows, "--hold-out", "0.1", "--corpus")
    first = run(*arguments, tmp_path / "a")["fingerprint"]
    command = [sys.executable, *COMMAND, *map(str, arguments), str(tmp_path / "b")]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    begun = time.monotonic()
    while not list(tmp_path.glob(".b.build/.b.new.*.part/tokens.bin")):
        assert killed.poll() is None, "it ended before it could be killed"
        assert time.monotonic() - begun < 100
        time.sleep(0.002)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "b").exists()
    assert list(tmp_path.glob(".b.build/.b.new.*.part"))
    assert run(*arguments, tmp_path / "b")["fingerprint"] == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_references_from_files(rows: Path, tmp_path: Path) -> None:
    """Tasks with templates of their own, split in parts; training text that repeats them is left out."""
    paragraph = "this question stands word for word in the training text, and it is far longer than eighty characters"
    questions = [{"q": paragraph if i == 6 else f"question number {i}?", "a": {"text": [f"{i}"]}} for i in range(8)]
    for i, title in enumerate("xyxyzzwv"):
        questions[i]["title"] = title
    (tmp_path / "quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    (tmp_path / "more.jsonl").write_text(json.dumps({"text": f"head\n\n{paragraph}\n\nrest"}) + "\n")
    reference = ("--reference", "quiz", tmp_path / "quiz.jsonl", "--reference-group", "quiz", "title")
    template = ("--reference-text", "quiz", "{q}\n\n{a.text.0}")
    files = ("--files", rows, tmp_path / "more.jsonl")
    run("build", *files, *reference, *template, "--agents", "match-quiz", "--corpus", tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    assert corpus.reference_tasks == ("quiz",)
    assert [corpus.text(d) for d in corpus.splits["quiz/test"]][0] == f"{paragraph}\n\n6"
    parts = [[corpus.text(d)[-1] for d in corpus.splits[f"quiz/{part}"]] for part in ("validation", "trial", "test")]
    assert parts == [["0", "2", "1", "3"], ["4", "5"], ["6", "7"]]  # what has one title stays together
    assert len(corpus.splits["train"]) == 300
    assert corpus.counts == {"documents that share a paragraph with reference text, left out": 1}
    assert list(corpus.labels) == ["domain", "match-quiz"]


def lines(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def test_near_duplicates_are_in_no_split(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not beside the first one, not beside one that is held out, and not beside reference text."""
    run("build", "--files", rows, "--agents", "--hold-out", "0.3", "--corpus", tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    texts, held = list(corpus.texts), list(corpus.texts[corpus.splits["heldout/validation"].start :])
    repeated = lines(tmp_path / "more.jsonl", [f"{text} tail" for text in texts])
    command = ("build", "--files", rows, repeated, "--agents", "--near-duplicates", "0.7")
    run(*command, "--hold-out", "0.3", "--corpus", tmp_path / "d")
    corpus = Corpus.open(tmp_path / "d")
    assert sorted(corpus.texts) == sorted(texts), "the documents differ from each other, and each stays once"
    assert corpus.counts == {"near-duplicates of training documents, left out": len(texts)}
    assert f"\n{len(texts)} near-duplicates of training documents, left out.\n" in capsys.readouterr().out
    reference = lines(tmp_path / "quiz.jsonl", held)
    run(*command, "--reference", "quiz", reference, "--corpus", tmp_path / "e")
    corpus = Corpus.open(tmp_path / "e")
    assert {corpus.text(d) for d in corpus.splits["train"]} == set(texts) - set(held)
    assert corpus.counts["near-duplicates of reference documents, left out"] >= len(held)
    assert sum(corpus.counts.values()) == len(texts) + len(held)
    with pytest.raises(
        InputError, match=r"no training document is left: 80 documents that share .* left out; give --fi"
    ):
        run(*command, "--files", reference, "--reference", "quiz", reference, "--corpus", tmp_path / "f")


def test_large_documents_are_named(tmp_path: Path) -> None:
    texts = [f"a few words of the document {i}" for i in range(400)]
    texts[100:105] = ["word " * 600, "word " * 100, "word " * 900, "word " * 800, "word " * 400]
    files = lines(tmp_path / "mail.jsonl", texts)
    with pytest.warns(UserWarning, match="alone is|more doc|standard error of") as warned:
        run("build", "--files", files, "--agents", "--hold-out", "0.05", "--corpus", tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    train = corpus.splits["train"]
    tokens = np.diff(corpus.token_offsets[train.start : train.stop + 1])
    largest = [train.start + int(number) for number in np.argsort(-tokens)[:3]]
    (warning,) = [each for each in warned if "standard error of" not in str(each.message)]
    whole, _, advice = str(warning.message).partition(": ")
    told = whole.split("; ")
    assert advice.startswith("what selects them trains on little else. Split them")
    assert told[:3] == [
        f"document {d} (domain mail) alone is {tokens[d - train.start] / tokens.sum():.1%} of the training tokens"
        for d in largest
    ]
    more = np.count_nonzero(tokens / tokens.sum() > 0.01) - 3
    assert told[3:] == [f"{more} more documents are more than 1% of the training tokens each"]
    card = (tmp_path / "c" / "card.md").read_text()
    assert all(f"- {line}\n" in card for line in told)


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


@pytest.mark.filterwarnings("ignore:agent 'topic' gives all")
@pytest.mark.filterwarnings("ignore:.* of the training tokens")
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


@pytest.mark.filterwarnings("ignore:agent 'topic' gives all")
@pytest.mark.filterwarnings("ignore:.* of the training tokens")
def test_max_documents_counts_the_bad_rows_that_were_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join([*sentences(200), "null", *sentences(9), *["null"] * 99]))
    short = ("build", "--files", tmp_path / "a.jsonl", "--hold-out", "0.2", "--agents", "topic", "--max-documents")
    assert run(*short, "205", "--corpus", tmp_path / "c")["bad_rows"] == 1
    with pytest.raises(InputError, match="100 of 309 rows are bad"):
        run(*short, "210", "--corpus", tmp_path / "d")


@pytest.mark.filterwarnings("ignore:.* of the training tokens")
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


def test_labels_that_are_there(built: Path, tmp_path: Path) -> None:
    """They are refused before the work, and replaced where it is said."""
    np.save(tmp_path / "scores.npy", np.arange(Corpus.open(built).num_documents))
    run("label", "--corpus", built, "--scores", "age", tmp_path / "scores.npy")
    before = Corpus.open(built).fingerprint
    np.save(tmp_path / "scores.npy", -np.arange(Corpus.open(built).num_documents))
    for given in (("--scores", "age", tmp_path / "scores.npy"), ("--agents", "quality", "topic")):
        with pytest.raises(InputError, match=r"c has a label '(age|topic)'; add --overwrite to replace it"):
            run("label", "--corpus", built, *given)
    with pytest.raises(InputError, match="nothing to add is given; name --agents, or --scores"):
        run("label", "--corpus", built)
    assert Corpus.open(built, verify=True).fingerprint == before
    run("label", "--corpus", built, "--scores", "age", tmp_path / "scores.npy", "--overwrite")
    corpus = Corpus.open(built, verify=True)
    assert (np.diff(corpus.labels["age"].column.astype(int)) <= 0).all()
    assert "| age | value |" in (built / "card.md").read_text()


def test_a_corpus_is_built_anew(rows: Path, built: Path) -> None:
    """Its name stays; without the flag nothing is touched, and a build that fails leaves the old one."""
    before = Corpus.open(built)
    arguments = ("build", "--files", rows, "--agents", "topic", "--hold-out", "0.2", "--corpus", built)
    with pytest.raises(InputError, match="c exists; name a new folder, or add --overwrite"):
        run(*arguments)
    with pytest.raises(InputError, match="unknown agent"):
        run(*arguments, "--overwrite", "--agents", "topics")
    assert Corpus.open(built, verify=True).fingerprint == before.fingerprint
    run(*arguments, "--overwrite")
    after = Corpus.open(built, verify=True)
    assert len(after.splits["heldout/test"]) > len(before.splits["heldout/test"])
    assert f"| heldout/test | {len(after.splits['heldout/test'])} |" in (built / "card.md").read_text()
    assert len(before.texts[:]) == before.num_documents  # what was open is still read
    assert [path.name for path in built.parent.iterdir()] == ["c"]
    assert run(*arguments, "--overwrite")["fingerprint"] == after.fingerprint


@pytest.mark.parametrize("given", [(), ("--tokenizer", "OTHER")], ids=["trained", "given"])
def test_all_that_the_commands_write_may_be_replaced(
    rows: Path, tiny_corpus: Corpus, tmp_path: Path, given: tuple[str, ...]
) -> None:
    """Also other tokens, which runs add to a corpus; nothing else."""
    tokenizer = [str(tiny_corpus.path) if word == "OTHER" else word for word in given]
    arguments = (
        "build",
        "--files",
        rows,
        "--agents",
        "topic",
        "--hold-out",
        "0.1",
        "--corpus",
        tmp_path / "c",
        *tokenizer,
    )
    before = run(*arguments)["fingerprint"]
    np.save(tmp_path / "scores.npy", np.arange(Corpus.open(tmp_path / "c").num_documents))
    for _ in range(2):  # what a replaced column leaves behind
        run("label", "--corpus", tmp_path / "c", "--scores", "age", tmp_path / "scores.npy", "--overwrite")
        np.save(tmp_path / "scores.npy", -np.arange(Corpus.open(tmp_path / "c").num_documents))
    other = build_synthetic(tmp_path / "other", seed=1, documents_per_domain=20)
    Corpus.open(tmp_path / "c").with_tokenizer(other.path)
    names = {path.name.partition("-")[0] for path in (tmp_path / "c").iterdir()}
    assert {"tokenizer_config.json", "card.md", "tokens", "labels"} <= names
    assert run(*arguments, "--overwrite")["fingerprint"] == before
    (tmp_path / "c" / "tokens-of-mine").mkdir()
    with pytest.raises(InputError, match="c also holds tokens-of-mine, which --overwrite would delete"):
        run(*arguments, "--overwrite")


def test_one_command_at_a_time(rows: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a corpus is labelled or built, another such command is refused in one line, and nothing is lost."""
    np.save(tmp_path / "scores.npy", np.arange(Corpus.open(built).num_documents))
    commands: list[tuple[object, ...]] = [
        ("label", "--scores", "two", tmp_path / "scores.npy", "--corpus", built),
        ("build", "--files", rows, *SHARE, "--overwrite", "--corpus", built),
    ]
    add_labels = label_command.add_labels

    def meanwhile(*arguments: Any) -> Corpus:
        for command in commands:
            with pytest.raises(InputError, match=f"another process is at work in {built}; wait for it, or name"):
                run(*command)
        return add_labels(*arguments)

    monkeypatch.setattr(label_command, "add_labels", meanwhile)
    run("label", "--scores", "one", tmp_path / "scores.npy", "--corpus", built)
    monkeypatch.undo()
    assert list(Corpus.open(built, verify=True).labels) == ["domain", "one", "topic"]
    run(*commands[0])
    assert list(Corpus.open(built, verify=True).labels) == ["domain", "one", "topic", "two"]


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
        (("--files", "x"), "To go on with a share of it all the same: --hold-out 0.01"),
        (("--preset", "slimpajama", "--files", "x"), "To go on with a share of it all the same: --hold-out 0.01"),
        (("--source", "synthetic", "--hold-out", "0.1"), "the source 'synthetic' has its own reference tasks; leave"),
        (("--source", "dataset"), "--dataset is missing"),
        (("--source", "synthetic", "--files", "x"), "the source is 'synthetic' and --files is given"),
        (("--files", "nowhere.jsonl", *SHARE), "no files are called nowhere.jsonl"),
        (("--files", "x", "--reference-text", "a", "b"), "names the task 'a', which has no files; add --reference"),
        (("--files", "x", "--cuts", "q", "1,2"), "cuts are for 'q', which is no score; add --columns.scores"),
        (("--preset", "slimpajama", "--files", "x", *SHARE, "--cuts.quality", "2,1"), "expected rising numbers"),
        (("--preset", "slimpajama", "--files", "x", *SHARE, "--cuts.quality", "low"), "expected numbers with commas"),
        (("--files", "x", "--max-documents", "0"), "max_documents is 0, expected at least 1"),
        (
            ("--files", "x", *SHARE),
            "makes of 1 documents 0 for validation, 0 for trials, 0 for the test and 1 for training",
        ),
        (
            ("--files", "x", *SHARE, "--max-documents", "1"),
            "give --hold-out 0.5, a --max-documents above 1, or --reference",
        ),
        (("--files", "x", "--hold-out", "1"), "hold_out is 1.0, expected a share between 0 and 1"),
        (("--files", "x", "--reference", "r", "x/a.jsonl"), "task 'r' has 1 documents with text, expected at least 3"),
        (("--files", "x", "--reference", "r", "x/b.jsonl"), "task 'r' has 0 documents with text, expected at least 3"),
        (
            ("--files", "x/b.jsonl", *SHARE),
            "no training document is left: 1 documents without text, left out; give --files",
        ),
        (("--files", "x", "--near-duplicates", "2"), "near_duplicates is 2.0, expected a similarity above 0 and at"),
        (
            ("--files", "x", "--vocab-size", "99999999999"),
            "expected 257, one token a byte and one that ends a text, to",
        ),
        (("--files", "x", "--reference", "a/b", "x"), "the name 'a/b' is given, expected letters, digits"),
        (("--files", "x", "--columns.scores", "null", "q"), "'null' is given, which is that of an agent without"),
        (("--files", "x", "--max-bad", "1.5"), "max_bad is 1.5, expected a share of the rows, from 0 to 1"),
        (("--files", "x", "--csv-delimiter", "::"), "csv_delimiter is '::', expected one character, as ';'"),
        (
            ("--files", "x", *SHARE, "--columns.text", "body"),
            "2 rows without column 'body' (name yours with --columns, or of a reference task with --reference-text",
        ),
        (("--files", "x", *SHARE, "--tokenizer", "x"), "no tokenizer.json in x"),
        (("--files", "x", *SHARE, "--agents", "qualty"), "unknown agent 'qualty'; did you mean 'quality'"),
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
    (tmp_path / "x" / "b.jsonl").write_text('{"text": " "}\n')
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
