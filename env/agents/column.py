"""column: any label column that came with the corpus, under its own name.

A column of scores (cut into bins when the corpus was built) is a static agent, whose priorities are the scores; one of
categories without values is moved by influence as domain and topic are, for nobody knows which of them helps. This is
how scores from elsewhere enter: arXiv 2504.14194 (Meta-rater) mixes 25 such columns with constant weights.
"""

from ...lm.corpus.corpus import Labels
from .base import LabelAgent


class ColumnAgent(LabelAgent):
    """The agent of the label column `name`."""

    def __init__(self, name: str, labels: Labels) -> None:
        self.name, self.moves = name, labels.values is None
