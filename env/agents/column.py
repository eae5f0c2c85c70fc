"""column: any label column that came with the corpus, under its own name.

A column of scores, cut into bins when the corpus was built, is a static agent, whose priorities are the scores. One of
categories without values is moved by influence, as domain and topic are, because nobody knows which category helps.
Scores from elsewhere come in this way: arXiv 2504.14194 (Meta-rater) mixes 25 such columns with constant weights.
"""

from ...lm.corpus.corpus import Labels
from .base import LabelAgent


class ColumnAgent(LabelAgent):
    """The agent of the label column `name`, which has these labels."""

    def __init__(self, name: str, labels: Labels) -> None:
        self.name, self.moves = name, labels.values is None
