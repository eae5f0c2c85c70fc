"""Two agents that are no part of PretrainGym: one prefers short words, the other short documents."""

import numpy as np

from pretraingym.env.agents.base import Array, LabelAgent
from pretraingym.env.text.corpus_text import TextBatch


class ShortnessAgent(LabelAgent):
    """Fifths of the text by letters a word, negative: the shorter the words, the higher the priority."""

    name = "shortness"

    def measure(self, batch: TextBatch) -> Array:
        return np.array([-len(text) / (1 + text.count(" ")) for text in batch.texts])


class BrevityAgent(LabelAgent):
    """Fifths of the text by size. Policies see this agent, and give it no weight."""

    name = "brevity"
    weighted = False

    def measure(self, batch: TextBatch) -> Array:
        return -np.log1p(batch.sizes)
