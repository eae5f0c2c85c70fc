"""pretraingym corpus build: documents of files or a dataset become a folder of text, labels and tokens."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ...env.agents.labelling import label_corpus
from ...env.agents.registry import check_column_name, make_labellers
from ...env.settings.default_corpus import build_default
from ...lm.corpus.corpus import PRACTICE_WORDS, Corpus
from ...lm.corpus.exchange import built_aside
from ...lm.corpus.tokenizer import check_vocab_size
from ...lm.ingest.build import build_corpus
from ...lm.ingest.documents import Columns
from ...lm.ingest.held_out import HELD_OUT_TASK, Category, check_share, default_tasks
from ...lm.ingest.near_duplicates import check_threshold
from ...lm.ingest.synthetic import build_synthetic
from ...lm.io.errors import InputError
from ..progress import Progress
from .data_card import CARD, data_card, large_documents, write_card
from .practice import practice_names
from .reference_sizes import size_warnings
from .references import NO_REFERENCE, Benchmark, Source, source_of
from .splits import Splits


@dataclass(frozen=True)
class BuildConfig:
    """Build a corpus of files (text, jsonl, csv or parquet), of a dataset, of the installed packages' text, or of
    made-up text, and print its data card. The manifest in the folder has the hash of every file."""

    corpus: Path
    """folder to build the corpus in"""
    overwrite: bool = False
    """replace the corpus in that folder; the old one stays in use until the new one is whole"""
    preset: Literal["files", "installed", "synthetic", "slimpajama"] = "files"
    """what the other fields start from: the defaults, the installed packages' text, made-up text, or the columns of the
    labelled SlimPajama"""
    source: Literal["files", "dataset", "installed", "synthetic"] = "files"
    """where the text comes from"""
    files: tuple[str, ...] = ()
    """files, folders or quoted patterns of .txt, .jsonl, .csv, .tsv (these also as .gz, .zst, .bz2) or .parquet files.
    A folder called lang=en gives its files a column lang; hidden files and metadata in folders are left out"""
    dataset: str = ""
    """a dataset of Hugging Face's `datasets`: a name on the hub, a folder of data files, or one that save_to_disk
    wrote"""
    dataset_config: str | None = None
    """configuration of the dataset, if it has several"""
    dataset_split: str = "train"
    """split of the dataset"""
    streaming: bool = True
    """read the dataset record by record, without storing it on the disk"""
    columns: Columns = field(default_factory=Columns)
    cuts: dict[str, str] = field(default_factory=dict)
    """a score's name and the values at which it is cut into bins, as in: quality 1,2,3,4 (default: fifths of the
    text)"""
    reference: dict[str, str] = field(default_factory=dict)
    """a reference task's name and where its text comes from: files, a folder or a quoted pattern (qa "qa/*.jsonl"), a
    dataset (qa dataset:squad, qa dataset:ai2_arc:config=ARC-Easy,split=validation, also of a folder), a benchmark of
    lm-evaluation-harness (arc lm-eval:arc_easy, or a YAML of yours, whose code the harness runs), or a category of the
    training text, of which at most a tenth and 4,000 documents are held out (code domain=github, best "quality>=4").
    The text is read twice for a category; quality=4 means the bin of that score if --cuts are given, else the number.
    A file that is called as a category counts as the file, unless it is written category:domain=github"""
    reference_text: dict[str, str] = field(default_factory=dict)
    """a task's name and the column or template of its text, as in: squad "{question} {answer}" (default: as
    --columns.text)"""
    reference_group: dict[str, str] = field(default_factory=dict)
    """a task's name and its column of sources or titles, as in: squad title. Texts with one source stay in one part of
    the task; of a category whole sources are held out, and nothing of theirs is trained on"""
    hold_out: float | None = None
    """share of the documents that becomes the reference task "heldout", as in: 0.01. It is natural's own text, which no
    selection serves better than natural; so by default it counts only where it is the one task"""
    practice: int = 0
    """hold out so many practice reference tasks to learn policies on, besides yours: practice-01, practice-02, and so
    on, as in: 20. Each is a cluster of the training text (k-means on its words), so its text is of one kind;
    --columns.group keeps sources whole. They are at most a tenth of the documents in all, and 24 to 400 each (6 or more
    if there is little text). The text is read twice. By default train-console learns on them, and pretrain leaves them
    out"""
    agents: tuple[str, ...] = ("topic", "quality", "match")
    """agents that label the text; match stands for one such agent for each reference task. A label of your files
    (--columns.scores, --columns.categories) stands in place of an agent's of the same name"""
    vocab_size: int = 512
    """vocabulary of the tokenizer, which is trained on the text; small models need a small one"""
    tokenizer: Path | None = None
    """folder of a tokenizer to use instead of training one"""
    max_documents: int | None = None
    """how many training documents to read at most"""
    near_duplicates: float | None = None
    """leave out documents that are an earlier or a reference document to this share of their runs of five words
    (estimated Jaccard similarity), as in: 0.8 (default: all stay)"""
    document_a_line: bool = False
    """take each line of a text file as a document (default: the whole file is one)"""
    csv_delimiter: str = ""
    """what separates the columns of csv files, as in: ';' (default: a comma, of .tsv files a tab)"""
    refuse_invalid_utf8: bool = False
    """stop at invalid UTF-8 (default: replace it and count how often)"""
    max_bad: float = 0.01
    """share of the rows that may be bad (no JSON, other columns than the header, a list where text is expected, ...).
    They are left out, counted and shown in the card; with more of them no corpus is built. Each reference task counts
    for itself. At the default one row of a hundred may be bad, and of fewer than 100 rows none. A file that is cut
    or damaged is always refused"""
    strict: bool = False
    """stop at the first bad row or file (default: read on, and tell all that are bad)"""

    def __post_init__(self) -> None:
        for name in (*self.reference, *self.columns.scores, *self.columns.categories):
            check_column_name(name)
        if HELD_OUT_TASK in self.reference:
            raise InputError(f"a reference task is called '{HELD_OUT_TASK}', as what --hold-out makes; rename it")
        if self.hold_out is not None:
            check_share(self.hold_out)
        if self.practice < 0:
            raise InputError(f"practice is {self.practice}, expected a number of tasks from 0 up, such as 10")
        if both := self.reference.keys() & set(practice_names(self.practice)):
            raise InputError(
                f"a reference task is called '{min(both)}', as one that --practice {self.practice} makes; rename it"
            )
        check_vocab_size(self.vocab_size)
        if not 0 <= self.max_bad <= 1:
            raise InputError(f"max_bad is {self.max_bad}, expected a share of the rows, from 0 to 1")
        if len(self.csv_delimiter) > 1 or self.csv_delimiter in {'"', "\n", "\r"}:
            raise InputError(f"csv_delimiter is {self.csv_delimiter!r}, expected one character, as ';' or $'\\t'")
        if self.max_documents is not None and self.max_documents < 1:
            raise InputError(f"max_documents is {self.max_documents}, expected at least 1")
        if self.near_duplicates is not None:
            check_threshold(self.near_duplicates)
        for option in ("reference_text", "reference_group"):
            if unknown := getattr(self, option).keys() - self.reference.keys():
                raise InputError(f"{option} names the task '{min(unknown)}', which has no files; add --reference")
        if unknown := self.cuts.keys() - self.columns.scores.keys():
            raise InputError(f"cuts are for '{min(unknown)}', which is no score; add --columns.scores")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the reference tasks."""
        held_out = () if self.hold_out is None else (HELD_OUT_TASK,)
        return (*self.reference, *practice_names(self.practice), *held_out)

    @property
    def numeric_cuts(self) -> dict[str, tuple[float, ...]]:
        """`cuts` as numbers. InputError: they are none, or do not rise."""
        return {name: _numbers(name, text) for name, text in self.cuts.items()}


def main(config: BuildConfig) -> dict[str, Any]:
    """Build the corpus, print its data card and save it in the folder; return what was built."""
    sources = _checked(config)
    with built_aside(config.corpus, config.overwrite) as aside, Progress() as progress:
        progress.stage("read", None)
        corpus = _build(replace(config, corpus=aside), sources, _StageProgress(progress, "read"))
        write_card(corpus)
    print(data_card(corpus))
    if large := large_documents(corpus):
        warnings.warn(
            f"{'; '.join(large)}: what selects them trains on little else. Split them, or leave them out, unless they "
            "are meant to be so long",
            stacklevel=2,
        )
    for line in size_warnings(corpus) if config.tasks else ():
        warnings.warn(line, stacklevel=2)
    tokens = int(corpus.token_offsets[-1])
    return {
        "corpus": str(config.corpus),
        "documents": corpus.num_documents,
        "tokens": tokens,
        "labels": list(corpus.labels),
        "reference_tasks": list(corpus.reference_tasks),
        "bad_rows": sum(source["bad"] for source in corpus.bad_rows),
        "fingerprint": corpus.fingerprint,
        "card": str(config.corpus / CARD),
    }


def _checked(config: BuildConfig) -> dict[str, Source]:
    """What each reference task is made of. InputError: text or tasks are missing, or what they name."""
    for source, given, flag in (("files", config.files, "--files"), ("dataset", config.dataset, "--dataset")):
        if (config.source == source) != bool(given):
            what = f"{flag} is missing" if config.source == source else f"{flag} is given"
            raise InputError(
                f"the source is '{config.source}' and {what}; give --files, or --source dataset --dataset NAME"
            )
    if config.source in ("installed", "synthetic"):
        if config.tasks:
            flag = "--reference" if config.reference else "--practice" if config.practice else "--hold-out"
            raise InputError(
                f"{flag} is given, and the source '{config.source}' has its own reference tasks; leave it out"
            )
        return {}
    if not config.tasks:
        raise InputError(NO_REFERENCE)
    cuts = config.numeric_cuts
    sources = {task: source_of(task, given, config.columns, cuts) for task, given in config.reference.items()}
    for task in config.reference_text:
        if isinstance(sources[task], Category | Benchmark):
            raise InputError(
                f"reference_text names the task '{task}', whose text is that of {config.reference[task]}; leave it out"
            )
    for task in config.reference_group:
        if isinstance(sources[task], Benchmark):
            raise InputError(
                f"reference_group names the task '{task}', but documents of {config.reference[task]} have no columns; "
                "leave it out"
            )
    return sources


@dataclass
class _StageProgress:
    """Shows the stage that a builder is at and the share of it that is done."""

    progress: Progress
    stage: str

    def __call__(self, stage: str, share: float) -> None:
        if stage != self.stage:
            self.stage = stage
            self.progress.stage(stage, None)
        self.progress.update(share, 1.0)


def _build(config: BuildConfig, sources: Mapping[str, Source], tell: Any) -> Corpus:
    if config.source == "synthetic":
        return build_synthetic(config.corpus)
    if config.source == "installed":
        return build_default(config.corpus, config.vocab_size, tell)
    splits = Splits(config, sources, tell)
    own = config.columns.scores.keys() | config.columns.categories.keys()
    labellers = [agent for agent in make_labellers(config.agents, default_tasks(config.tasks)) if agent.name not in own]
    annotate = partial(label_corpus, agents=labellers) if labellers else None
    documents = splits.documents()
    about = asdict(config)
    for where in ("corpus", "overwrite"):
        del about[where]
    about[PRACTICE_WORDS] = {task: " ".join(practice.words) for task, practice in splits.practice.items()}
    return build_corpus(
        config.corpus,
        documents,
        config.tasks,
        config.tokenizer or config.vocab_size,
        annotate,
        {key: str(value) if isinstance(value, Path) else value for key, value in about.items()},
        tell,
        config.numeric_cuts,
        splits.counts,
        splits.faults,
    )


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        cuts = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"cuts of '{name}' are '{text}', expected numbers with commas, as in 1,2,3,4") from None
    if list(cuts) != sorted(set(cuts)):
        raise InputError(f"cuts of '{name}' are '{text}', expected rising numbers")
    return cuts
