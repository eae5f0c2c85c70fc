"""corpus build --practice: what the practice tasks are made of, and that nothing of theirs is trained on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.corpus_commands import practice
from pretraingym.experiments.corpus_commands.practice import practice_names, practice_tasks
from pretraingym.lm.corpus.corpus import REFERENCE_PARTS, Corpus
from pretraingym.lm.ingest import held_out
from pretraingym.lm.ingest.documents import Document
from pretraingym.lm.ingest.held_out import REPEATS, Decontamination, Sample, text_unit
from pretraingym.lm.ingest.near_duplicates import OF_REFERENCE
from pretraingym.lm.io.errors import InputError

KINDS = (
    "star planet orbit comet moon galaxy",
    "bread flour oven yeast salt dough",
    "violin sonata tempo cello chord melody",
)
TASKS = ("practice-01", "practice-02", "practice-03")
pytestmark = pytest.mark.filterwarnings("ignore:.* error of")


def rows(number: int = 720) -> list[dict[str, Any]]:
    """Texts of three kinds, by sources of three texts; each has one kind."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(rng.integers(0, 3, number // 3), 3)
    return [
        {"text": f"{i} " + " ".join(rng.choice(KINDS[kind].split(), 12)), "kind": f"{kind}", "source": f"s{i // 3}"}
        for i, kind in enumerate(kinds)
    ]


ROWS = rows()
OF_TEXT = {row["text"]: row for row in ROWS}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    write(ROWS)
    return tmp_path


def write(found: list[dict[str, Any]]) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))


def build(*arguments: object, files: bool = True, agents: tuple[str, ...] = ()) -> Corpus:
    words = ["corpus", "build", "--corpus", "c", "--overwrite", "--agents", *agents]
    work, config = parse([*words, *(("--files", "rows.jsonl") if files else ()), *map(str, arguments)])
    work(config)
    return Corpus.open(Path("c"))


def texts(corpus: Corpus, split: str) -> list[str]:
    return [corpus.text(document) for document in corpus.splits[split]]


def held(corpus: Corpus, task: str) -> list[str]:
    return [text for part in REFERENCE_PARTS for text in texts(corpus, f"{task}/{part}")]


def test_the_names_depend_on_the_number_alone() -> None:
    assert practice_names(3) == TASKS
    assert practice_names(100)[::99] == ("practice-001", "practice-100")


def test_each_task_is_of_one_kind() -> None:
    """A tenth of the documents in all; the rest stays; a match agent for each."""
    corpus = build("--practice", 3, agents=("match",))
    assert corpus.reference_tasks == TASKS
    assert {f"match-{task}" for task in TASKS} < corpus.labels.keys()
    kinds = [{OF_TEXT[text]["kind"] for text in held(corpus, task)} for task in TASKS]
    assert sorted(kinds, key=min) == [{"0"}, {"1"}, {"2"}]
    for task, kind in zip(TASKS, kinds, strict=True):
        assert [len(corpus.splits[f"{task}/{part}"]) for part in REFERENCE_PARTS] == [12, 6, 6]
        assert set(corpus.practice[task].split()) < set(KINDS[int(min(kind))].split())
    assert sorted(corpus.texts) == sorted(OF_TEXT)


def test_the_order_of_the_text_does_not_matter() -> None:
    corpus = build("--practice", 3)
    before = {task: held(corpus, task) for task in TASKS}
    assert build("--practice", 3).fingerprint == corpus.fingerprint
    write(ROWS[::-1])
    after = build("--practice", 3)
    assert {task: held(after, task) for task in TASKS} == before
    write(ROWS)
    grouped = build("--practice", 3, "--columns.group", "source")
    before = {task: held(grouped, task) for task in TASKS}
    write([ROWS[i] for i in np.random.default_rng(1).permutation(len(ROWS))])
    after = build("--practice", 3, "--columns.group", "source")
    assert {task: sorted(held(after, task)) for task in TASKS} == {task: sorted(before[task]) for task in TASKS}


@pytest.mark.parametrize("flag", [("--columns.group", "source"), ("--reference-group", "t", "source")])
def test_sources_stay_together(flag: tuple[str, ...]) -> None:
    """Also sources of which another task has only some documents."""
    write([row | {"place": f"{i % 3}"} for i, row in enumerate(ROWS)])
    corpus = build("--practice", 3, "--columns.domain", "place", "--reference", "t", "domain=0", *flag)
    assert corpus.reference_tasks == ("t", *TASKS)
    sources = [{OF_TEXT[text]["source"] for text in texts(corpus, split)} for split in corpus.splits]
    assert len(sources) == 13
    assert all(sources)
    assert sum(map(len, sources)) == len(set().union(*sources)) == 240
    for task in TASKS:
        assert 20 <= len(held(corpus, task)) <= 24
        assert len({OF_TEXT[text]["kind"] for text in held(corpus, task)}) == 1


def test_texts_with_one_licence_are_not_one_kind() -> None:
    headers = [" ".join(f"{licence}{a}{b}" for a in "abcdefg" for b in "abcdefg") for licence in ("mit", "bsd")]
    write([row | {"text": f"{headers[i % 2]}\n\n{row['text']}\n\n{'.' * 600}{i}"} for i, row in enumerate(ROWS)])
    corpus = build("--practice", 3)
    for task in TASKS:
        assert len({OF_TEXT[text.split("\n\n")[1]]["kind"] for text in held(corpus, task)}) == 1


def test_half_of_a_small_cluster_stays() -> None:
    of_kind: dict[str, list[dict[str, Any]]] = {"0": [], "1": []}
    for row in rows(1800):
        of_kind.setdefault(row["kind"], []).append(row)
    write(of_kind["0"][:540] + of_kind["1"][:60])
    corpus = build("--practice", 2)
    assert [len(held(corpus, task)) for task in ("practice-01", "practice-02")] == [30, 30]
    write(of_kind["0"][:540] + of_kind["1"][:50])
    assert len(held(build("--practice", 2), "practice-02")) == 25


def test_text_that_is_mostly_common_is_not_chosen() -> None:
    headers = "\n\n".join(
        f"{i} words of a licence that stands here, in all these files, once and again " * 2 for i in "ab"
    )
    write(ROWS + [row | {"text": f"{headers}\n\n{row['text']}"} for row in ROWS])
    corpus = build("--practice", 3)
    found = [text for task in TASKS for text in held(corpus, task)]
    assert len(found) > 100
    assert not any(text.startswith(headers) for text in found)


def test_they_go_with_other_references() -> None:
    """Nothing of theirs is in another task, nor do they repeat files of a task."""
    long = "a paragraph of more than eighty characters, so that it counts as one that is repeated here, namely "
    write([row | {"text": long + row["text"]} for row in ROWS])
    own = {long + row["text"] for row in ROWS[:60]}
    Path("own.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in sorted(own)))
    flags = ("--reference", "own", "own.jsonl", "t", "domain=1", "--columns.domain", "kind", "--hold-out", "0.1")
    corpus = build("--practice", 3, *flags)
    assert corpus.reference_tasks == ("own", "t", *TASKS, "heldout")
    assert all(len(held(corpus, task)) >= 6 for task in corpus.reference_tasks)
    found = [text for task in TASKS for text in held(corpus, task)]
    others = own.union(held(corpus, "t"), held(corpus, "heldout"), texts(corpus, "train"))
    assert len(found) == len(set(found) - others)


def test_near_duplicates_of_theirs_are_left_out() -> None:
    write([row | {"text": row["text"] + end} for row in ROWS for end in (" alpha", " omega")])
    corpus = build("--practice", 3, "--near-duplicates", 0.7)
    found = {text[:-6] for task in TASKS for text in held(corpus, task)}
    assert not found & {text[:-6] for text in texts(corpus, "train")}
    assert corpus.counts[OF_REFERENCE] > 100


def test_copies_and_repeats_are_not_trained_on() -> None:
    own = "a paragraph of more than eighty characters, which no other text has, and which is told as the number "
    header = "a header that stands on top of every text there is, as a licence or a menu does, to no purpose at all"
    written = [row | {"text": f"{header}\n\n{own}{i}\n\n{row['text']}"} for i, row in enumerate(ROWS)]
    copies = [row | {"source": f"copy {row['source']}"} for row in written]
    quotes = [{"text": f"quoted:\n\n{own}{i}", "source": f"q{i}", "kind": "q"} for i in range(len(ROWS))]
    write(written + copies + quotes)
    corpus = build("--practice", 3, "--columns.group", "source")
    found = [text for task in TASKS for text in held(corpus, task)]
    assert len(found) == len(set(found)) > 150
    trained = texts(corpus, "train")
    assert not set(found) & set(trained)
    paragraphs = {paragraph for text in found for paragraph in text.split("\n\n") if own in paragraph}
    assert len(paragraphs) == len(found)
    assert not paragraphs & {paragraph for text in trained for paragraph in text.split("\n\n")}
    assert len(trained) > 1400, "the common header has nothing left out"
    assert corpus.counts[REPEATS] > 0


def test_a_saved_dataset_is_read_twice() -> None:
    Dataset.from_list(ROWS).save_to_disk("saved")
    corpus = build("--practice", 3, "--source", "dataset", "--dataset", "saved", files=False)
    assert sorted(corpus.texts) == sorted(OF_TEXT)
    assert {task: held(corpus, task) for task in TASKS} == {task: held(build("--practice", 3), task) for task in TASKS}


def test_the_card_and_one_warning_tell_their_sizes() -> None:
    with pytest.warns(UserWarning, match="3 practice tasks have 24 documents each; a gain measured on one") as caught:
        corpus = build("--practice", 3)
    assert len(caught) == 1
    card = (corpus.path / "card.md").read_text()
    assert f"\n| practice-01 | {corpus.practice['practice-01']} | 24 | 0." in card
    assert "reference task 'practice" not in card


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--practice", -1), "practice is -1, expected a number of tasks from 0 up"),
        (("--practice", 3, "--reference", "practice-03", "kind=0"), "called 'practice-03', as one that --practice 3 m"),
        (
            ("--practice", 20),
            "and a tenth of the training text.*is 72 documents; expected 6 .*give --practice 3, or more",
        ),
        (("--practice", 1, "--max-documents", 50), "is 5 documents; expected 6 or more for each: give more text$"),
        (("--practice", 9, "--columns.group", "kind"), "0 sources can be held out; expected 9 clusters of 16 docum"),
        (("--source", "synthetic", "--practice", 2), "--practice is given, and the source 'synthetic' has its own"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(arguments: tuple[object, ...], line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        build(*arguments, files="synthetic" not in arguments)
    assert "\n" not in str(error.value)
    assert not Path("c").exists()


@pytest.mark.parametrize(
    ("number", "sources", "line"),
    [
        (2, [600] * 3, "2 is given, and 0 sources can be held out; expected 2 clusters of 24 .*, or leave out the col"),
        (1, [97, 1, 1, 1], "1 is given, and 3 sources can be held out; expected 1 cluster of 20 documents and 6 sourc"),
        (3, [2] * 90, "3 is given, and 0 sources can be held out; expected 3 clusters of 12 documents"),
        (1, [43, 1, 1, 1, 1, 1, 400, 400, 452], "'practice-01' of --practice 1 has 2 documents for validation, as"),
    ],
)
def test_sources_of_which_no_task_can_be_made_are_told_in_a_line(number: int, sources: list[int], line: str) -> None:
    of_row = np.repeat(np.arange(len(sources)), sources)
    write([row | {"source": f"{source}"} for row, source in zip(rows(1800), of_row, strict=False)])
    with pytest.raises(InputError, match=line) as error:
        build("--practice", number, "--columns.group", "source", agents=("match",))
    assert "\n" not in str(error.value)
    assert not Path("c").exists()


def test_copies_of_one_text_make_no_task() -> None:
    write(ROWS[:1] * 100)
    with pytest.raises(InputError, match="1 document can be held out; expected 1 cluster of 10 documents"):
        build("--practice", 1)


def test_the_validation_part_of_the_smallest_tasks_will_do_for_an_agent() -> None:
    """Of sources of two texts too, where single texts would do."""
    sources = [f"pair d{i // 2}" if i < 90 else f"{i}" for i in range(180)]
    write([row | {"source": source} for row, source in zip(ROWS, sources, strict=False)])
    corpus = build("--practice", 3, "--columns.group", "source", agents=("match",))
    assert [len(corpus.splits[f"{task}/validation"]) for task in TASKS] == [3, 3, 3]


def test_a_name_that_does_not_collide_is_taken() -> None:
    corpus = build("--practice", 3, "--reference", "practice-9", "domain=0", "--columns.domain", "kind")
    assert corpus.reference_tasks == ("practice-9", *TASKS)
    assert tuple(corpus.practice) == TASKS


def assert_the_least_are_clustered(make: Callable[[], Sample], is_bounded: Callable[[Sample], bool]) -> None:
    """Practice tasks of ROWS have the 120 documents of least hash, in whatever order the sample is shown all of them,
    and it is bounded all the while."""
    documents = [Document(row["text"], "d") for row in ROWS]
    found = []
    for order in (documents, documents[::-1]):
        sample = make()
        for document in order:
            sample.see(document)
            assert is_bounded(sample)
        tasks = practice_tasks(sample, 3, set(), Decontamination([]))
        found.append({task: [document.text for document in made.documents] for task, made in tasks.items()})
    assert found[0] == found[1]
    least = sorted(documents, key=text_unit)[:120]
    assert {text for task in found[0].values() for text in task} == {document.text for document in least}


def test_large_corpora_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order in which they are read, and within the memory of twice the sample."""
    monkeypatch.setattr(practice, "SHARE", 0.5)
    assert_the_least_are_clustered(lambda: Sample(120), lambda sample: len(sample._of_unit) <= 241)


def test_few_long_documents_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the bytes that are given, whatever the order in which they are read."""
    monkeypatch.setattr(practice, "SHARE", 0.5)
    texts = sorted((Document(row["text"], "d") for row in ROWS), key=text_unit)[:120]
    room = sum(len(document.text) for document in texts)
    assert_the_least_are_clustered(
        lambda: Sample(720, room),
        lambda sample: sum(len(text.text) for (text,) in sample.units().values()) <= 2 * room,
    )


def test_a_source_that_is_too_large_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "LARGEST_SOURCE", 100)
    write(ROWS + [row | {"source": "large", "text": f"more {row['text']}"} for row in ROWS[:200]])
    corpus = build("--practice", 3, "--columns.group", "source")
    assert all(not text.startswith("more") for task in TASKS for text in held(corpus, task))
    assert sum(text.startswith("more") for text in texts(corpus, "train")) == 200
