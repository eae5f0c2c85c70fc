"""What --reference may name: what each kind means, how they are told apart, and corpora that are built of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.corpus_commands.references import Benchmark, Files, NamedDataset, source_of
from pretraingym.lm.corpus.corpus import REFERENCE_PARTS, Corpus
from pretraingym.lm.ingest.documents import Columns
from pretraingym.lm.ingest.held_out import OF_HELD_OUT, Category
from pretraingym.lm.io.errors import InputError

COLUMNS = Columns(categories={"topic": "topic"}, scores={"quality": "score"})
PARTS = [f"t/{part}" for part in REFERENCE_PARTS]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def meant(given: str, **cuts: tuple[float, ...]) -> Any:
    return source_of("t", given, COLUMNS, cuts)


def bounds(given: str, **cuts: tuple[float, ...]) -> tuple[float, float]:
    category = meant(given, **cuts)
    return category.low, category.high


def test_prefixes_name_datasets_and_benchmarks() -> None:
    assert meant("dataset:squad") == NamedDataset("squad", None, "train")
    assert meant("dataset:me/squad:split=test") == NamedDataset("me/squad", None, "test")
    assert meant("dataset:arc:config=ARC-Easy,split=test") == NamedDataset("arc", "ARC-Easy", "test")
    assert meant("lm-eval:arc_easy") == Benchmark("arc_easy")


def test_conditions_name_categories() -> None:
    assert meant("domain=github") == meant("category:domain=github") == Category("domain=github", "domain", "github")
    assert meant("topic=a=b") == Category("topic=a=b", "topic", "a=b")
    assert bounds("quality>=4") == (4.0, np.inf)
    assert bounds("quality<=1.5")[0] == -np.inf
    assert bounds("quality<=1.5")[1] > 1.5
    assert bounds("quality=4") == (4.0, np.nextafter(4.0, 5.0))
    cuts = (1.0, 2.0, 4.0)
    assert [bounds(f"quality={n}", quality=cuts) for n in ("0", "1", "3", "4", "9")] == [
        (-np.inf, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, np.inf), (4.0, np.inf),
    ]  # fmt: skip


def test_the_domain_is_also_called_as_the_column_it_comes_from() -> None:
    columns = replace(COLUMNS, domain="site")
    assert source_of("t", "site=a", columns, {}) == Category("site=a", "domain", "a")
    assert source_of("t", "domain=a", columns, {}) == Category("domain=a", "domain", "a")


def test_a_file_that_is_there_comes_before_a_category(folder: Path) -> None:
    assert meant("topic=en") == Category("topic=en", "topic", "en")
    (folder / "topic=en").mkdir()
    assert meant("topic=en") == Files("topic=en")
    assert meant("top*") == Files("top*")
    assert meant("category:topic=en") == Category("topic=en", "topic", "en")
    (folder / "dataset:x").write_text("")
    assert meant("dataset:x") == NamedDataset("x", None, "train")
    assert meant("./dataset:x") == Files("./dataset:x")


def test_what_save_to_disk_wrote_is_a_dataset(folder: Path) -> None:
    Dataset.from_list([{"text": "a"}]).save_to_disk(folder / "one:two=3")
    for given in ("one:two=3", "dataset:one:two=3"):
        assert meant(given) == NamedDataset("one:two=3", None, "train")
    (folder / "states").mkdir()
    (folder / "states" / "state.json").write_text("")
    assert meant("states") == Files("states")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            "nowhere/*.jsonl",
            "'nowhere/.*', and no files are called so; expected files, dataset:NAME, lm-eval:TASK or L",
        ),
        ("", "files of reference task 't' are named '', expected a name.*: is a shell variable empty"),
        ("dataset:", "'dataset:', expected a name after dataset:"),
        ("dataset:squad:validation", "has the settings 'validation', expected config=CONFIG or split=SPLIT, as in"),
        ("category:github", "'category:github', expected category:LABEL=VALUE"),
        ("x" * 300, "xxx', and no files are called so; expected files"),
        (f"dataset:{'x' * 300}:validation", "has the settings 'validation'"),
        ("dmain=x", "'dmain=x', and no file is called so, nor a label of the corpus; did you mean 'domain'"),
        ("topic>=3", "'topic>=3', but topic is no score: give topic=3"),
        ("quality=good", "'quality=good', expected a number, for quality is a score"),
        ("quality>=nan", "'quality>=nan', expected a number"),
    ],
)
def test_what_is_none_of_them_is_told_in_a_line(given: str, line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        meant(given)
    assert "\n" not in str(error.value)


def build(*arguments: object, agents: tuple[str, ...] = ()) -> Corpus:
    words = ["corpus", "build", "--corpus", "c", "--overwrite", "--agents", *agents, *map(str, arguments)]
    work, config = parse(words)
    work(config)
    return Corpus.open(Path("c"))


def rows(number: int = 400) -> list[dict[str, Any]]:
    """Texts of two domains, by many sources, with a score from 0 to 5."""
    return [
        {"text": f"text {i} of it", "domain": "ab"[i % 2], "source": f"{i % 50}", "score": i % 6} for i in range(number)
    ]


@pytest.fixture
def text(folder: Path) -> tuple[object, ...]:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return ("--files", "rows.jsonl", "--columns.scores", "quality", "score")


def texts(corpus: Corpus, split: str) -> set[str]:
    return {corpus.text(document) for document in corpus.splits[split]}


def held(corpus: Corpus) -> set[str]:
    return set().union(*(texts(corpus, split) for split in PARTS))


small = pytest.mark.filterwarnings("ignore:reference task .* standard error of")


@small
def test_a_category_is_held_out(text: tuple[object, ...]) -> None:
    """A tenth of its documents; the rest stays, and so does all other text. The labels stay too."""
    corpus = build(*text, "--reference", "t", "domain=a")
    found = held(corpus)
    assert [len(corpus.splits[split]) for split in PARTS] == [10, 5, 5]
    assert texts(corpus, "train") | found == {row["text"] for row in rows()}
    assert not texts(corpus, "train") & found
    assert found <= {row["text"] for row in rows() if row["domain"] == "a"}
    labels = corpus.labels["domain"]
    assert {labels.names[labels.column[d]] for split in PARTS for d in corpus.splits[split]} == {"a"}
    assert build(*text, "--reference", "t", "domain=a").fingerprint == corpus.fingerprint


@small
def test_the_best_of_a_score_is_held_out(text: tuple[object, ...]) -> None:
    best = build(*text, "--reference", "t", "quality>=4")
    good = {row["text"] for row in rows() if row["score"] >= 4}
    assert held(best) < good
    assert len(held(best)) == len(good) // 10
    assert held(build(*text, "--cuts", "quality", "2,4", "--reference", "t", "quality=4")) == held(best)
    assert held(build(*text, "--reference", "t", "quality=4")) < {row["text"] for row in rows() if row["score"] == 4}


@small
@pytest.mark.parametrize("flag", [("--columns.group", "source"), ("--reference-group", "t", "source")])
def test_whole_sources_are_held_out(text: tuple[object, ...], flag: tuple[str, ...]) -> None:
    """No source is in two parts, or in the training text too, whatever the category of its other documents."""
    corpus = build(*text, "--reference", "t", "quality>=3", *flag)
    source = {row["text"]: row["source"] for row in rows()}
    splits = [{source[text] for text in texts(corpus, split)} for split in (*PARTS, "train")]
    assert all(splits)
    assert sum(map(len, splits)) == len(set().union(*splits)) == 50
    dropped = corpus.counts[OF_HELD_OUT]
    assert dropped > 0
    assert corpus.num_documents == 400 - dropped


@small
def test_training_text_may_lack_the_column_of_sources(folder: Path, text: tuple[object, ...]) -> None:
    more = [{"text": f"no source {i}", "domain": "b", "score": 1} for i in range(40)]
    (folder / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in more))
    flags = ("--files", "rows.jsonl", "more.jsonl", "--reference", "t", "domain=a", "--reference-group", "t")
    corpus = build(*text, *flags, "source")
    assert {row["text"] for row in more} <= texts(corpus, "train")
    with pytest.warns(UserWarning, match="no training document has a source in the column 'sorce'"):
        build(*text, *flags, "sorce")


@small
def test_a_copy_in_another_source_is_left_out_too(folder: Path, text: tuple[object, ...]) -> None:
    copies = [row | {"source": f"copy {i}"} for i, row in enumerate(rows())]
    (folder / "copies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in copies))
    flags = ("--reference", "t", "domain=a", "--reference-group", "t", "source")
    corpus = build(*text, "--files", "rows.jsonl", "copies.jsonl", *flags)
    assert not held(corpus) & texts(corpus, "train")


@small
def test_categories_that_overlap_share_nothing(text: tuple[object, ...]) -> None:
    corpus = build(*text, "--reference", "t", "domain=a", "u", "quality>=2", "v", "domain=a", "--hold-out", "0.1")
    assert corpus.reference_tasks == ("t", "u", "v", "heldout")
    assert corpus.num_documents == len(set(corpus.texts)) == 400


@small
def test_copies_of_what_is_held_out_are_left_out(folder: Path, text: tuple[object, ...]) -> None:
    lines = (folder / "rows.jsonl").read_text()
    (folder / "twice.jsonl").write_text(lines)
    corpus = build(*text, "--files", "rows.jsonl", "twice.jsonl", "--reference", "t", "domain=a")
    assert len(held(corpus)) == sum(len(corpus.splits[split]) for split in PARTS) == corpus.counts[OF_HELD_OUT] == 40
    assert not held(corpus) & texts(corpus, "train")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("domain=c", "'t' is domain=c, which no training document has; domain: known: a, b"),
        ("quality>=6", "'t' is quality>=6, which no training document has; quality: its scores go from 0 to 5"),
    ],
)
def test_a_category_without_documents(text: tuple[object, ...], folder: Path, given: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        build(*text, "--reference", "t", given)
    with pytest.raises(InputError, match="'t' is domain=a, which 5 training documents have.*expected 6 .*or more"):
        build(*text, "--max-documents", 10, "--reference", "t", "domain=a")
    assert not (folder / "c").exists()


@small
@pytest.mark.parametrize("several", [False, True])
def test_a_dataset_that_was_saved(folder: Path, text: tuple[object, ...], several: bool) -> None:
    found = Dataset.from_list([{"question": f"is it {i}?", "text": "yes"} for i in range(8)])
    (DatasetDict({"test": found}) if several else found).save_to_disk(folder / "saved")
    given = "dataset:saved:split=test" if several else "dataset:saved"
    corpus = build(*text, "--reference", "t", given, "--reference-text", "t", "{question} {text}")
    assert held(corpus) == {f"is it {i}? yes" for i in range(8)}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--reference", "heldout", "rows.jsonl"), "called 'heldout', as what --hold-out makes; rename it"),
        (("--reference", "t", "domain=a", "--reference-text", "t", "x"), "names the task 't', whose text is that of d"),
        (
            ("--reference", "t", "lm-eval:x", "--reference-group", "t", "g"),
            "names the task 't', but documents of lm-eval:x",
        ),
        (("--reference", "t", "dataset:./none"), "dataset './none', split 'train', cannot be read"),
        (
            ("--reference", "t", "domain=a", "--columns.group", "source", "--reference-group", "t", "score"),
            "sources of the training text are in the columns score, source, expected one",
        ),
    ],
)
def test_references_that_cannot_be(text: tuple[object, ...], arguments: tuple[object, ...], line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        build(*text, *arguments)
    assert "\n" not in str(error.value)
    assert not Path("c").exists()
