"""Labelling a corpus for the default agents."""

import hashlib

import numpy as np

from ..lm.corpus import Labels
from ..lm.texts import Texts
from .agents.base import Annotation
from .documents import Documents
from .labels.match import match_annotation
from .labels.quality import quality_annotation
from .labels.topic import topic_annotation


def label_corpus(texts: Texts, splits: dict[str, range], domain: Labels, seed: int = 0) -> dict[str, Labels]:
    """The label columns topic, quality and one match a reference task, of all documents in all splits. `domain` comes
    from the corpus's source. Each labeller has its own random numbers, so that adding one changes no other."""
    documents = Documents(texts, splits, domain.column, np.diff(texts.offsets))

    def rng(name: str) -> np.random.Generator:
        return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")])

    found: dict[str, Annotation] = {
        "topic": topic_annotation(documents, rng("topic")),
        "quality": quality_annotation(documents, rng("quality")),
    }
    for task in sorted({split.split("/")[0] for split in splits} - {"train"}):
        found[f"match-{task}"] = match_annotation(documents, task, rng(f"match-{task}"))
    return {name: Labels(note.names, note.values, note.labels) for name, note in found.items()}
