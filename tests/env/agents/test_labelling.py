"""Labellers against documents whose truth is known, and against plain counting."""

from pathlib import Path

import numpy as np
import pytest

from pretraingym.env.agents import labelling
from pretraingym.env.agents.labelling import label_corpus
from pretraingym.env.agents.match import MatchAgent
from pretraingym.env.agents.registry import make_labellers
from pretraingym.env.text import contrast
from pretraingym.env.text.contrast import Contrast
from pretraingym.env.text.corpus_text import CorpusText
from pretraingym.lm.corpus.corpus import REFERENCE_PARTS, Corpus, Labels, reference_split
from pretraingym.lm.ingest.build import build_corpus
from pretraingym.lm.ingest.documents import Document
from pretraingym.lm.io.errors import InputError


@pytest.fixture(scope="module")
def documents(tiny_corpus: Corpus) -> CorpusText:
    """The synthetic corpus as labellers see it."""
    return CorpusText(tiny_corpus.texts, tiny_corpus.splits, tiny_corpus.labels["domain"].column)


def label(corpus: Corpus, *specs: str) -> dict[str, Labels]:
    """What those agents make of a corpus."""
    agents = make_labellers(specs, corpus.reference_tasks)
    return label_corpus(corpus.texts, corpus.splits, corpus.labels["domain"], agents=agents)


@pytest.fixture(scope="module")
def labels(tiny_corpus: Corpus) -> dict[str, Labels]:
    """What the labellers make of the synthetic corpus."""
    return label(tiny_corpus, "topic", "quality", "match")


def test_columns(tiny_corpus: Corpus, labels: dict[str, Labels]) -> None:
    """One column a default agent, over all documents of all splits, with values where the agent is static."""
    assert set(labels) == {"topic", "quality", "match-prose", "match-code"}
    train = tiny_corpus.splits["train"]
    for name, column in labels.items():
        assert column.column.dtype == np.uint16, name
        assert column.column.shape == (tiny_corpus.num_documents,), name
        assert set(column.column[: train.stop].tolist()) == set(range(len(column.names))), name
        assert (column.values is None) == (name == "topic"), name
        assert list(column.values or ()) == sorted(column.values or ()), name


def test_match_finds_its_task_and_no_other(tiny_corpus: Corpus, labels: dict[str, Labels]) -> None:
    """The task's own domain is at the top and the other tasks' are not."""
    train, domain = tiny_corpus.splits["train"], tiny_corpus.labels["domain"]
    for task, other in (("prose", "code"), ("code", "prose")):
        match = labels[f"match-{task}"]
        value = np.array(match.values)[match.column]
        mean = {
            name: value[: train.stop][domain.column[: train.stop] == i].mean() for i, name in enumerate(domain.names)
        }
        assert max(mean, key=lambda name: mean[name]) == task, mean
        assert mean[task] - mean[other] > 2, mean


@pytest.mark.parametrize("task", ["prose", "code"])
def test_held_out_parts_look_alike(documents: CorpusText, task: str) -> None:
    """Validation documents are not scored by a model that was fitted on them."""
    agent = MatchAgent(task)
    agent.fit(documents, np.random.default_rng(0))
    steering, trial, test = (agent.measure(documents.batch(documents.splits[f"{task}/{p}"])) for p in REFERENCE_PARTS)
    unseen = np.concatenate([trial, test])
    spread = agent.measure(documents.batch(documents.train)).std()
    assert abs(steering.mean() - unseen.mean()) < 0.15 * spread


def test_topics_are_found(tiny_corpus: Corpus, labels: dict[str, Labels]) -> None:
    """Documents that share a topic nearly always share the domain that they were made from."""
    topic, domain = labels["topic"].column, tiny_corpus.labels["domain"].column
    table = np.zeros((len(labels["topic"].names), len(tiny_corpus.labels["domain"].names)))
    np.add.at(table, (topic, domain), 1)
    assert table.max(1).sum() / table.sum() > 0.9


def a_corpus(path: Path, texts: list[str]) -> Corpus:
    """Of these texts, which the reference task has too."""
    names = ("train", *(reference_split("own", part) for part in REFERENCE_PARTS))
    splits = {split: [Document(text, "all") for text in texts] for split in names}
    return build_corpus(path, splits, ("own",), 300)


def test_topics_of_text_without_words_of_letters(tmp_path: Path) -> None:
    numbered = [" ".join(f"{'ab'[i % 2]}{(i + j) % 9}" for j in range(5)) for i in range(60)]
    assert len(label(a_corpus(tmp_path / "numbered", numbered), "topic")["topic"].names) > 1
    with pytest.raises(InputError, match="agent 'topic' finds fewer than two different words in the text"):
        label(a_corpus(tmp_path / "marks", ["? ?", "? ? ?"] * 30), "topic")


def test_same_labels_in_other_processes(
    tiny_corpus: Corpus, labels: dict[str, Labels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same labels and values whether one process reads the corpus or several do, batch by batch."""
    monkeypatch.setattr(labelling, "BATCH_BYTES", int(tiny_corpus.texts.offsets[-1]) // 4)
    monkeypatch.setattr(labelling, "usable_cores", lambda: 2)
    again = label(tiny_corpus, "topic", "quality", "match")
    for name, column in labels.items():
        np.testing.assert_array_equal(column.column, again[name].column, err_msg=name)
        assert (column.names, column.values) == (again[name].names, again[name].values), name


def test_random_positives_score_no_better_unseen(documents: CorpusText) -> None:
    """Documents that differ from the rest in nothing get no better scores for having been the positives: a model that
    had seen them would rank nearly all of them above the rest."""
    rng = np.random.default_rng(0)
    train = np.array(documents.train)[:400]
    positives = np.sort(rng.permutation(train)[:80])
    scores = Contrast(documents, positives, rng).log_odds(documents.batch(documents.train))
    rest = np.setdiff1d(train, positives)
    assert abs((scores[positives][:, None] > scores[rest]).mean() - 0.5) < 0.12


def test_a_long_document_scores_as_its_parts_do(tmp_path: Path) -> None:
    """Text that is repeated in one document is like the positives neither more nor less for being longer."""
    words = "amber", "birch", "cedar", "delta"
    kinds = [" ".join(words[i % 2 + 2 * (kind == "other")] for i in range(70)) for kind in ("own", "other")]
    train = [Document(kinds[i % 2] * (1 + 5 * (i % 4 > 1)), "all") for i in range(80)]
    splits = {reference_split("own", part): [Document(kinds[0], "all")] * 9 for part in REFERENCE_PARTS}
    corpus = build_corpus(tmp_path / "corpus", {"train": train, **splits}, ("own",), 300)
    documents = CorpusText(corpus.texts, corpus.splits, corpus.labels["domain"].column)
    fitted = Contrast(documents, documents.validation("own"), np.random.default_rng(0))
    scores = fitted.log_odds(documents.batch(documents.train)).reshape(-1, 4).mean(0)
    assert scores[0] - scores[1] > 1
    np.testing.assert_allclose(scores[:2], scores[2:], atol=0.1 * (scores[0] - scores[1]))


def built(path: Path, train: list[str], own: list[str]) -> CorpusText:
    """A corpus of these texts, with a task `own` that has the same text in all parts."""
    splits = {reference_split("own", part): [Document(text, "all") for text in own] for part in REFERENCE_PARTS}
    corpus = build_corpus(path, {"train": [Document(text, "all") for text in train], **splits}, ("own",), 300)
    return CorpusText(corpus.texts, corpus.splits, corpus.labels["domain"].column)


@pytest.mark.parametrize("long", ["own", "train"])
def test_one_huge_document_leaves_something_in_every_fold(
    tmp_path: Path, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast, "MAX_PIECES", 60)
    short, huge = [f"{name} ash birch cedar" * 9 for name in ("elm", "fir", "gum")], "delta echo fox " * 8_000
    texts = {"own": short * 3, "train": short * 20} | {long: [*short[:2], huge]}
    documents = built(tmp_path / "corpus", texts["train"], texts["own"])
    for seed in range(3):
        Contrast(documents, documents.validation("own"), np.random.default_rng(seed))


def test_sources_that_take_turns_are_in_every_fold(tmp_path: Path) -> None:
    kinds = [f"{name} " * 100 for name in ("amber", "birch", "cedar")]
    documents = built(tmp_path / "corpus", kinds * 30, ["delta echo " * 50] * 9)
    fitted = Contrast(documents, documents.validation("own"), np.random.default_rng(0))
    training = np.isin(fitted.fitted, documents.train)
    for kind in range(3):
        assert len(np.unique(fitted.fold[training][fitted.fitted[training] % 3 == kind])) == 3


def test_too_few_documents_for_a_classifier(documents: CorpusText) -> None:
    others = len(documents.sample) - 2
    with pytest.raises(InputError, match=f"a classifier of 2 documents against {others} others.*expected at least 3"):
        Contrast(documents, documents.sample[:2], np.random.default_rng(0))


def test_features_are_counted_once(documents: CorpusText) -> None:
    """A document's features are of unit length, and the same in a batch as where agents are fitted."""
    first = range(9)
    assert documents.sample[: len(first)].tolist() == list(first)
    features = documents.features(np.array(first))
    np.testing.assert_allclose(features.multiply(features).sum(1), 1, atol=1e-5)
    assert abs(features - documents.batch(first).features).max() == 0
