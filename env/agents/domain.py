"""domain: the source that a document comes from, moved by influence.

The domain agent of arXiv 2410.08102 (there the seven sources of SlimPajama). Departures: those of LabelAgent.
"""

from .base import LabelAgent


class DomainAgent(LabelAgent):
    """The labels come with the corpus."""

    name = "domain"
    moves = True
