"""Labellers against documents whose truth is known, and against plain counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraingym.env.documents import Documents
from pretraingym.env.labelling import label_corpus
from pretraingym.env.labels.bins import bin_scores
from pretraingym.env.labels.contrast import log_odds
from pretraingym.lm.corpus import Corpus, Labels


@pytest.fixture(scope="module")
def documents(tiny_corpus: Corpus) -> Documents:
    """The synthetic corpus as labellers see it."""
    domain = tiny_corpus.labels["domain"].column
    return Documents(tiny_corpus.texts, tiny_corpus.splits, domain, tiny_corpus.byte_lengths)


@pytest.fixture(scope="module")
def labels(tiny_corpus: Corpus) -> dict[str, Labels]:
    """What the labellers make of the synthetic corpus."""
    return label_corpus(tiny_corpus.texts, tiny_corpus.splits, tiny_corpus.labels["domain"])


def test_columns(tiny_corpus: Corpus, labels: dict[str, Labels]) -> None:
    """One column a default agent, over all documents of all splits, with values where the agent is static."""
    assert set(labels) == {"topic", "quality", "match-prose", "match-code"}
    train = tiny_corpus.splits["train"]
    for name, column in labels.items():
        assert column.column.dtype == np.uint16
        assert column.column.shape == (tiny_corpus.num_documents,)
        assert set(column.column[: train.stop].tolist()) == set(range(len(column.names)))
        assert (column.values is None) == (name == "topic")
        assert list(column.values or ()) == sorted(column.values or ())


def test_match_finds_its_task_and_no_other(tiny_corpus: Corpus, labels: dict[str, Labels]) -> None:
    """The task's own domain is at the top and the other tasks' are not; held-out halves look alike, for validation
    documents are not scored by a model that was fitted on them."""
    train, domain = tiny_corpus.splits["train"], tiny_corpus.labels["domain"]
    for task, other in (("prose", "code"), ("code", "prose")):
        match = labels[f"match-{task}"]
        value = np.array(match.values)[match.column]
        mean = {
            name: value[: train.stop][domain.column[: train.stop] == i].mean() for i, name in enumerate(domain.names)
        }
        assert max(mean, key=lambda name: mean[name]) == task
        assert mean[task] - mean[other] > 2
        validation, test = (
            value[np.array(tiny_corpus.splits[f"{task}/{half}"])].mean() for half in ("validation", "test")
        )
        assert abs(validation - test) < 0.25 * value[: train.stop].std()


def test_topics_are_found(tiny_corpus: Corpus, labels: dict[str, Labels]) -> None:
    """Documents that share a topic nearly always share the domain that they were made from."""
    topic, domain = labels["topic"].column, tiny_corpus.labels["domain"].column
    table = np.zeros((len(labels["topic"].names), 5))
    np.add.at(table, (topic, domain), 1)
    assert table.max(1).sum() / table.sum() > 0.9


def test_deterministic_and_seeded(tiny_corpus: Corpus, labels: dict[str, Labels]) -> None:
    """The same seed gives the same labels and values."""
    again = label_corpus(tiny_corpus.texts, tiny_corpus.splits, tiny_corpus.labels["domain"])
    for name, column in labels.items():
        assert (column.column == again[name].column).all()
        assert (column.names, column.values) == (again[name].names, again[name].values)


def test_random_positives_score_no_better_unseen(documents: Documents) -> None:
    """Documents that differ from the rest in nothing get no better scores for having been the positives: a model that
    had seen them would rank nearly all of them above the rest."""
    rng = np.random.default_rng(0)
    train = np.array(documents.train)[:400]
    positives = np.sort(rng.permutation(train)[:80])
    scores = log_odds(documents.features, positives, train, rng)
    rest = np.setdiff1d(train, positives)
    assert abs((scores[positives][:, None] > scores[rest]).mean() - 0.5) < 0.12


def test_features_are_counted_once(documents: Documents) -> None:
    """Features are unit rows, and the second labeller gets the same object."""
    assert documents.features is documents.features
    assert np.allclose(documents.features.multiply(documents.features).sum(1), 1, atol=1e-5)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 50)), min_size=4, max_size=60), st.integers(1, 3))
def test_bins_hold_their_share(rows: list[tuple[int, int]], held_out: int) -> None:
    """Bins keep the order of scores, their shares of the training size differ from those asked for by at most one
    document and its ties, none is empty in training, and values are plain weighted means."""
    scores, sizes = np.array(rows, np.float64).T
    train = range(len(rows) - held_out)
    edges = (0.25, 0.5, 0.75)
    note = bin_scores(scores, sizes.astype(np.int64), train, edges)
    assert (np.diff(note.labels[np.argsort(scores, kind="stable")].astype(int)) >= 0).all()
    score, size, label = (column[: train.stop] for column in (scores, sizes, note.labels))
    assert set(label.tolist()) == set(range(len(note.names)))
    for number in range(len(note.names)):
        inside = label == number
        assert note.values is not None
        assert np.isclose(note.values[number], np.average(score[inside], weights=size[inside]))
    tie = max(size[score == value].sum() for value in score)
    for edge in edges:
        below = [size[label < number].sum() for number in range(len(note.names) + 1)]
        assert min(abs(part - edge * size.sum()) for part in below) <= tie
