"""Presets of `pretraingym corpus build`: whole configurations. A flag changes one field of a preset."""

from collections.abc import Callable

import tyro

from ...lm.ingest.documents import Columns
from .build import BuildConfig


def files_corpus() -> BuildConfig:
    """The user's own files or dataset."""
    return BuildConfig(corpus=tyro.MISSING)


def installed_corpus() -> BuildConfig:
    """The default corpus, in a folder of the user's choice."""
    return BuildConfig(corpus=tyro.MISSING, preset="installed", source="installed")


def synthetic_corpus() -> BuildConfig:
    """Made-up text whose labels are known, in a second."""
    return BuildConfig(corpus=tyro.MISSING, preset="synthetic", source="synthetic")


def slimpajama_corpus() -> BuildConfig:
    """The labelled SlimPajama that the authors of arXiv 2410.08102 released: jsonl with FineWeb-Edu's score, cut into
    the paper's five bins, and 13 topics."""
    columns = Columns(domain="domain", categories={"topic": "attr-cc_en_topic"}, scores={"quality": "attr-fineweb-edu"})
    return BuildConfig(
        corpus=tyro.MISSING, preset="slimpajama", columns=columns, cuts={"quality": "1,2,3,4"}, agents=("match",)
    )


PRESETS: dict[type, dict[str, Callable[[], object]]] = {
    BuildConfig: {
        "files": files_corpus,
        "installed": installed_corpus,
        "synthetic": synthetic_corpus,
        "slimpajama": slimpajama_corpus,
    }
}
