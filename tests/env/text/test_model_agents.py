"""Models that judge documents: a transformers sequence classifier from disk, and a small language model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from pretraingym.env.agents.labelling import label_corpus
from pretraingym.env.agents.learnability import LearnabilityAgent
from pretraingym.env.agents.perplexity import PerplexityAgent
from pretraingym.env.agents.quality import QualityAgent
from pretraingym.env.agents.registry import make_labellers
from pretraingym.env.text import language_model
from pretraingym.env.text.corpus_text import CorpusText
from pretraingym.env.text.language_model import LanguageModel
from pretraingym.env.text.sequence_classifier import SequenceClassifier
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError


def save_classifier(folder: Path, corpus: Corpus, num_labels: int) -> Path:
    """A randomly initialised BERT with its tokenizer, as transformers saves one."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=corpus.tokenizer(), pad_token="!")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=corpus.vocab_size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        num_labels=num_labels,
        initializer_range=1.0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("num_labels", [1, 4])
def test_a_classifier_from_disk(tiny_corpus: Corpus, tmp_path: Path, num_labels: int) -> None:
    """The model's own output, whatever the document's company; of several classes the expected one."""
    folder = save_classifier(tmp_path / "model", tiny_corpus, num_labels)
    judge = SequenceClassifier(str(folder))
    texts = [*tiny_corpus.texts[:40], "short"]
    scores = judge.scores(texts)
    alone = np.array([judge.scores([text])[0] for text in texts])
    np.testing.assert_allclose(scores, alone, atol=1e-5)
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    ids = torch.tensor([tiny_corpus.tokenizer().encode(texts[3]).ids[:64]])
    with torch.no_grad():
        logits = model(ids).logits[0]
    expected = logits[0] if num_labels == 1 else logits.softmax(0) @ torch.arange(4.0)
    assert scores[3] == pytest.approx(float(expected), abs=1e-5)
    assert scores.std() > 1e-3


def test_quality_by_a_named_classifier(tiny_corpus: Corpus, tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "model", tiny_corpus, 1)
    scores = SequenceClassifier(str(folder)).scores(list(tiny_corpus.texts))
    for settings, cuts in (("", None), (",unit_bins=true", (1, 2, 3, 4))):
        agents = make_labellers((f"quality:model={folder}{settings}",), tiny_corpus.reference_tasks)
        labels = label_corpus(tiny_corpus.texts, tiny_corpus.splits, tiny_corpus.labels["domain"], agents=agents)
        column = labels["quality"].column
        assert len(labels["quality"].names) == 5
        if cuts:
            assert (column == np.searchsorted(cuts, scores, side="right")).all()
        else:
            order = np.argsort(scores, kind="stable")
            assert (np.diff(column[order].astype(int)) >= 0).all()


def test_a_classifier_that_cannot_be_read(tiny_corpus: Corpus, tmp_path: Path) -> None:
    documents = CorpusText(tiny_corpus.texts, tiny_corpus.splits, tiny_corpus.labels["domain"].column)
    with pytest.raises(InputError, match="no sequence classifier can be read from '.*nowhere'"):
        QualityAgent(model=str(tmp_path / "nowhere")).fit(documents, np.random.default_rng(0))
    folder = save_classifier(tmp_path / "model", tiny_corpus, 1)
    weights = BertForSequenceClassification.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")  # a pickle
    with pytest.raises(InputError, match="no sequence classifier can be read from"):
        SequenceClassifier(str(folder))


@pytest.fixture(scope="module")
def judge(tiny_corpus: Corpus) -> LanguageModel:
    train = np.array(tiny_corpus.splits["train"])
    return LanguageModel(tiny_corpus.texts, train, np.random.default_rng(0), steps=60)


def test_a_language_model_learns_what_can_be_learned(judge: LanguageModel, tiny_corpus: Corpus) -> None:
    """Late it knows more than early; of noise it learns little, and finds it hard."""
    train = tiny_corpus.splits["train"]
    texts = tiny_corpus.texts[train.start : train.start + 200]
    letters = np.random.default_rng(0).choice([*"abcdefghijklmnopqrstuvwxyz.,;0123456789"], (200, 400))
    noise = ["".join(row) for row in letters]
    late, early = judge.losses(texts), judge.losses(texts, early=True)
    assert late.mean() < early.mean() - 0.2
    assert judge.losses(noise).min() > late.max()
    assert (judge.losses(noise, early=True) - judge.losses(noise)).max() < (early - late).min()


def test_losses_are_nats_a_byte_of_what_is_read(judge: LanguageModel, tiny_corpus: Corpus) -> None:
    text = tiny_corpus.text(0)
    tokens = judge.tokenizer.encode(text, add_special_tokens=False).ids[: language_model.CONTEXT]
    size = sum(len(judge.tokenizer.decode([token]).encode()) for token in tokens[1:])
    with judge.late.holding(judge.late.average):
        mean = float(judge.late.evaluate(torch.tensor(tokens)[None, None])[0, 0])
    assert judge.losses([text])[0] == pytest.approx(mean * (len(tokens) - 1) / size, rel=1e-5)
    together = judge.losses([text, "a", tiny_corpus.text(1)])
    assert together[0] == pytest.approx(judge.losses([text])[0], rel=1e-5)
    assert np.isfinite(judge.losses(["", "a"])).all()


def test_perplexity_and_learnability_label_with_one_model(
    judge: LanguageModel, tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def make(*_: object) -> LanguageModel:
        made.append(1)
        return judge

    monkeypatch.setattr(language_model, "LanguageModel", make)
    agents = [PerplexityAgent(), LearnabilityAgent()]
    labels = label_corpus(tiny_corpus.texts, tiny_corpus.splits, tiny_corpus.labels["domain"], agents=agents)
    assert made == [1]
    losses = judge.losses(list(tiny_corpus.texts))
    order = np.argsort(losses, kind="stable")
    assert np.corrcoef(labels["perplexity"].column[order], np.arange(len(order)))[0, 1] > 0.95
    assert PerplexityAgent.moves
    assert not LearnabilityAgent.moves
    fall = judge.losses(list(tiny_corpus.texts), early=True) - losses
    assert np.corrcoef(labels["learnability"].column, fall)[0, 1] > 0.8
