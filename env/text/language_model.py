"""A small language model of the corpus's own text; early and late in its training, it judges documents."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...lm.backend import Schedule
from ...lm.corpus.texts import Texts
from ...lm.corpus.tokenizer import train_tokenizer
from ...lm.corpus.windows import PADDING
from ...lm.models.causal_lm import llama
from ...lm.models.optimizer_config import OptimizerConfig
from ...lm.proxies.shard import Shard

VOCABULARY, WIDTH, NUM_LAYERS = 512, 64, 2
CONTEXT = 128  # tokens from the beginning of a document that are read
STEP_WINDOWS = 16
STEPS = 400
EARLY_SHARE = 0.1  # of the steps, after which the weights of the early model are taken
AVERAGE_DECAY = 0.5 ** (1 / 16)  # a step, of the running average of the weights, with which documents are judged


class LanguageModel:
    """A Llama of .16 million parameters trained on .8 million tokens: the beginnings of `documents` in random order.
    These sizes are assumed: enough to tell text from noise in half a minute. Losses are in nats a byte, so that they
    compare between documents whatever their tokens. It has seen its training documents about once; that it may remember
    them is neglected."""

    def __init__(
        self, texts: Texts, documents: NDArray[np.int64], rng: np.random.Generator, steps: int = STEPS
    ) -> None:
        chosen = np.resize(rng.permutation(documents), steps * STEP_WINDOWS)
        self.tokenizer = train_tokenizer((texts[int(document)] for document in np.unique(chosen)), VOCABULARY)
        vocabulary = sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])
        # Tokens are byte-level: each of their characters stands for a byte.
        self.token_bytes = torch.tensor([len(token) for token, _ in vocabulary])
        config = llama(len(vocabulary), WIDTH, NUM_LAYERS, CONTEXT)
        self.late, self.early = (Shard(config, OptimizerConfig(), 1, AVERAGE_DECAY, "cpu") for _ in range(2))
        self.late.start(0, int(rng.integers(1 << 31)))
        schedule = Schedule(steps)
        for step, sequences in enumerate(chosen.reshape(steps, STEP_WINDOWS)):
            tokens = self._encode([texts[int(document)] for document in sequences])
            rate = torch.from_numpy(schedule.fraction(np.array([step]))).float()
            self.late.train_step(tokens[None], rate)
            if step + 1 == max(1, int(EARLY_SHARE * steps)):
                for name, average in self.late.average.items():
                    self.early.average[name].copy_(average)

    def losses(self, texts: list[str], early: bool = False) -> NDArray[np.float64]:
        """Loss on the beginning of each document, (D,), nats a byte."""
        tokens, shard = self._encode(texts), self.early if early else self.late
        with shard.holding(shard.average):
            mean = shard.evaluate(tokens[None])[0]
        predicted = tokens[:, 1:]
        inside = predicted != PADDING
        size = (self.token_bytes[predicted.clamp(min=0)] * inside).sum(1)
        return (mean * inside.sum(1) / size.clamp(min=1)).double().numpy()

    def _encode(self, texts: list[str]) -> Tensor:
        """(D, CONTEXT) int64, padded at the right."""
        tokens = torch.full((len(texts), CONTEXT), PADDING)
        beginnings = [text[: 8 * CONTEXT] for text in texts]  # tokens have fewer than 8 characters on average
        for index, encoding in enumerate(self.tokenizer.encode_batch_fast(beginnings, add_special_tokens=False)):
            ids = encoding.ids[:CONTEXT]
            tokens[index, : len(ids)] = torch.tensor(ids)
        return tokens
