"""The benchmarks run, on a tiny corpus, and measure what they say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pretraingym.env.setting import Setting
from pretraingym.env.task import Task
from pretraingym.experiments.benchmarks import cells, corpus, heldout, influence, signal, transfer
from pretraingym.lm.corpus import Corpus
from pretraingym.lm.synthetic import DOMAINS, synthetic_documents
from pretraingym.lm.windows import PART_BITS


@pytest.fixture
def longer(tiny_setting: Setting) -> Setting:
    """Long enough for a tilt to pay."""
    return replace(tiny_setting, episode=replace(tiny_setting.episode, steps_per_interval=16))


def test_signal(tiny_corpus: Corpus, longer: Setting) -> None:
    config = signal.SignalConfig(corpus=str(tiny_corpus.path), seeds=3, pool_budgets=5, setting=longer)
    figures = signal.measure(config)
    assert figures["gain_nats"] > 0.1  # text of the reference's own domain
    assert figures["snr"] > 1
    assert 0 < figures["overhead_fraction"] < 1
    assert figures["seconds_per_episode"] > 0
    assert np.log(2) < figures["bigram_loss_nats"] < np.log(tiny_corpus.vocab_size)


def test_bigrams_learn_what_a_bigram_can(tiny_corpus: Corpus) -> None:
    """The synthetic text is a bigram model's over words: more of it tells more."""
    task = Task(tiny_corpus, 16)
    few, many = (signal.bigram_loss_nats(task, tokens) for tokens in (1_600, 32_000))
    assert many < few - 0.2


def test_the_bigrams_are_a_distribution(tiny_corpus: Corpus) -> None:
    """Counted on the whole corpus and read on text of its own: between the entropy of what follows a known token and
    that of any token."""
    task = Task(tiny_corpus, 16)
    tokens = task.windows.fetch(np.array(task.windows.ids(tiny_corpus.splits["prose/validation"])))
    after, before = tokens[:, 1:][tokens[:, 1:] >= 0], tokens[:, :-1][tokens[:, 1:] >= 0]
    pairs, singles = (np.unique(x, return_counts=True)[1] for x in (before * 1000 + after, before))
    entropy = [-(count / count.sum() * np.log(count / count.sum())).sum() for count in (pairs, singles)]
    unigram = np.unique(after, return_counts=True)[1] / len(after)
    loss = signal.bigram_loss_nats(task, 60_000)
    assert entropy[0] - entropy[1] < loss < -(unigram * np.log(unigram)).sum()


def test_corpus(tmp_path: Path) -> None:
    documents = synthetic_documents(0, 300)["train"]
    lines = [json.dumps({"text": document.text, "domain": DOMAINS[document.domain]}) for document in documents]
    (tmp_path / "made-up.jsonl").write_text("\n".join(lines))
    config = corpus.CorpusBenchmark((str(tmp_path / "made-up.jsonl"),), (1, 2), folder=tmp_path / "built")
    figures = corpus.measure(config)
    assert figures["x2"]["text_mb"] == pytest.approx(2 * figures["x1"]["text_mb"], rel=0.1)
    for measured in figures.values():
        assert 50 < measured["peak_rss_mib"] < 2048
        assert 0.1 < measured["tokenise_ratio"] < 10
        assert 0 < measured["open_s"] < 1
        assert measured["label_mb_per_s"] > 0
    stages = corpus._stage_s("read: started\nlabel: done after 1:05, 1/1\ntokenise: done after 1:00:02")
    assert stages == {"label": 65, "tokenise": 3602}


def test_heldout(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    config = heldout.HeldoutConfig(("uniform", "match-prose"), scenarios=2, corpus=str(tiny_corpus.path))
    figures = heldout.measure(replace(config, setting=tiny_setting))
    mean, low, high = figures["uniform"]["gain_nats_and_ci95"]
    assert low <= mean <= high
    assert figures["uniform"]["over"]["match-prose"][0] == -figures["match-prose"]["over"]["uniform"][0]


def test_transfer(tiny_corpus: Corpus, longer: Setting) -> None:
    config = transfer.TransferConfig(longer, replace(longer, width=32), (0.5,), 5.0, corpus=str(tiny_corpus.path))
    figures = transfer.measure(config)
    assert figures["consoles"] == 7  # six agents alone, and all together
    assert all(value > 0.5 for value in figures["spearman"].values())


def test_cells() -> None:
    """Three corpora by two sets of categories, of which the larger has every document alone in its cell."""
    figures = cells.measure(cells.CellsConfig(documents=3000, windows=1000))
    assert [(row["documents"], row["cells"]) for row in figures["grid"]] == [
        (30, 30), (30, 30), (300, 300), (300, 300), (3000, 455), (3000, 3000),
    ]  # fmt: skip
    largest = figures["grid"][-2:]
    assert figures["reweight_ms"] == max(row["reweight_ms"] for row in largest)
    assert figures["draw_1k_ms"] == max(row["draw_ms"] for row in largest)
    assert figures["json_lines_s"] == min(row["json_lines_s"] for row in largest)
    assert all(0 < row["open_s"] < 1 and 10 < row["peak_rss_mib"] < 1024 for row in largest)
    assert all(row["numpy_ms"] > 0 for row in largest)


def test_influence(tiny_corpus: Corpus, longer: Setting) -> None:
    config = influence.InfluenceConfig(str(tiny_corpus.path), longer, 0.75, "domain", 60, 32, repeats=1)
    figures = influence.measure(config)
    assert figures["spearman_document"] > 0.5
    assert figures["spearman_category"] > 0.8
    assert figures["speedup"] > 0
    assert set(figures["agreement"]["influence"]) == {"all", *tiny_corpus.reference_tasks}


def test_the_oracle_leaves_the_model_as_it_was(tiny_corpus: Corpus, longer: Setting) -> None:
    config = influence.InfluenceConfig(str(tiny_corpus.path), longer, documents=8, references=8)
    task, rng = Task(tiny_corpus, longer.context), np.random.default_rng(0)
    learner = influence.trained(config, task, rng)
    before = learner.state_dict()
    documents = influence.stratified(task, "domain", 10, rng)
    assert (np.bincount(tiny_corpus.labels["domain"].column[documents]) == 2).all()
    windows = documents << PART_BITS  # the first of each
    fall_PR = influence.oracle(learner, windows, windows)
    for name, value in learner.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert (np.diag(fall_PR) > 0).mean() > 0.8  # a step on a window lowers its own loss
