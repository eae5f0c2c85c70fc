"""Named starting points of `pretraingym corpus build`: whole configurations, of which any flag changes a field."""

from collections.abc import Callable
from dataclasses import replace

import tyro

from ...lm.ingest.documents import Columns
from .build import BuildConfig


def files_corpus() -> BuildConfig:
    """Files or a dataset of the user's."""
    return BuildConfig(corpus=tyro.MISSING)


def installed_corpus() -> BuildConfig:
    """The default corpus, in a folder of one's own."""
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


def shared_corpus() -> BuildConfig:
    """337 MB in eight domains, with the paper's three reference tasks. The text is not part of this project."""
    return BuildConfig(
        corpus=tyro.MISSING,
        preset="shared",
        files=("../shared/corpus/train-*.parquet",),
        reference={
            "lambada": "../shared/reference/lambada.parquet",
            "squad": "../shared/reference/squad.parquet",
            "jeopardy": "../shared/reference/jeopardy.parquet",
        },
        reference_text={
            "squad": "{context}\n{question} {answers.text.0}",
            "jeopardy": "{context} {continuation}",
        },
    )


def shared_mini_corpus() -> BuildConfig:
    """A sample of 30 MB of the same."""
    return replace(shared_corpus(), preset="shared-mini", files=("../shared/corpus/mini.parquet",))


def shared_tasks_corpus() -> BuildConfig:
    """The same sample with ten reference tasks: the paper's three, and held-out text of seven domains."""
    domains = ("arxiv", "books", "code", "docs", "stackexchange", "web", "wikipedia")
    paper = shared_mini_corpus()
    return replace(
        paper,
        preset="shared-tasks",
        reference=paper.reference | {name: f"../shared/corpus/valid-{name}.parquet" for name in domains},
        reference_group={"squad": "title"} | dict.fromkeys(domains, "source"),
    )


CORPUS_PRESETS: dict[type, dict[str, Callable[[], object]]] = {
    BuildConfig: {
        "files": files_corpus,
        "installed": installed_corpus,
        "synthetic": synthetic_corpus,
        "slimpajama": slimpajama_corpus,
        "shared": shared_corpus,
        "shared-mini": shared_mini_corpus,
        "shared-tasks": shared_tasks_corpus,
    }
}
