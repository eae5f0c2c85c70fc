"""pretraingym corpus build: documents of files or a dataset become a folder of text, labels and tokens."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ...env.agents.labelling import label_corpus
from ...env.agents.registry import check_column_name, make_labellers
from ...lm.corpus.corpus import Corpus
from ...lm.corpus.exchange import built_aside
from ...lm.corpus.tokenizer import check_vocab_size
from ...lm.ingest.build import build_corpus
from ...lm.ingest.documents import Columns, Document
from ...lm.ingest.held_out import HELD_OUT_TASK, Decontamination, HeldOut, parts
from ...lm.ingest.near_duplicates import NearDuplicates, check_threshold
from ...lm.ingest.synthetic import build_synthetic
from ...lm.io.errors import InputError
from ...lm.records.data_files import expand
from ...lm.records.faults import Faults
from ...lm.records.hub_datasets import dataset_records
from ...lm.records.readers import FileReader
from ...lm.records.record import BadFile, BadRow, Record
from ..progress import Progress
from .data_card import CARD, data_card, large_documents, write_card


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
    """a reference task's name and its files, as in: squad squad.parquet (default: one task, a share held out of the
    text)"""
    reference_text: dict[str, str] = field(default_factory=dict)
    """a task's name and the column or template of its text, as in: squad "{question} {answer}" (default: as
    --columns.text)"""
    reference_group: dict[str, str] = field(default_factory=dict)
    """a task's name and its column of sources or titles, as in: squad title. Texts with one source stay in one part of
    the task"""
    hold_out: float = 0.01
    """share of the documents that becomes the reference task "heldout", if no task is given"""
    agents: tuple[str, ...] = ("topic", "quality", "match")
    """agents that label the text; match stands for one such agent for each reference task"""
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
        return tuple(self.reference) or (HELD_OUT_TASK,)


def main(config: BuildConfig) -> dict[str, Any]:
    """Build the corpus, print its data card and save it in the folder; return what was built."""
    for source, given, flag in (("files", config.files, "--files"), ("dataset", config.dataset, "--dataset")):
        if (config.source == source) != bool(given):
            what = f"{flag} is missing" if config.source == source else f"{flag} is given"
            raise InputError(
                f"the source is '{config.source}' and {what}; give --files, or --source dataset --dataset NAME"
            )
    with built_aside(config.corpus, config.overwrite) as aside, Progress() as progress:
        progress.stage("read", None)
        corpus = _build(replace(config, corpus=aside), _StageProgress(progress, "read"))
        write_card(corpus)
    print(data_card(corpus))
    for line in large_documents(corpus):
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


def _build(config: BuildConfig, tell: Any) -> Corpus:
    if config.source == "synthetic":
        return build_synthetic(config.corpus)
    if config.source == "installed":
        from ...env.settings.default_corpus import build_default  # which loads torch: other corpora need none

        return build_default(config.corpus, config.vocab_size, tell)
    counts: Counter[str] = Counter()
    faults: list[Faults] = []
    annotate = partial(label_corpus, agents=make_labellers(config.agents, config.tasks)) if config.agents else None
    about = asdict(config)
    for where in ("corpus", "overwrite"):
        del about[where]
    return build_corpus(
        config.corpus,
        _splits(config, counts, faults, tell),
        config.tasks,
        config.tokenizer or config.vocab_size,
        annotate,
        {key: str(value) if isinstance(value, Path) else value for key, value in about.items()},
        tell,
        {name: _numbers(name, text) for name, text in config.cuts.items()},
        counts,
        faults,
    )


def _splits(
    config: BuildConfig, counts: Counter[str], faults: list[Faults], tell: Any
) -> Mapping[str, Iterable[Document]]:
    """Documents by split: first the training documents, as a stream; then the reference documents, few, in memory.
    `faults` gets those of each source; a reference task's are decided here, before the long reading."""
    train = _train(config, counts, faults, tell)
    if not config.reference:
        held = HeldOut(config.hold_out, counts, config.max_documents)
        return {"train": held.train(_first_ones(config, train, (), counts)), **held.splits()}
    references: dict[str, list[Document]] = {}
    for task, pattern in config.reference.items():
        text, group = config.reference_text.get(task, config.columns.text), config.reference_group.get(task, "")
        columns = replace(config.columns, text=text, group=group, domain="")
        reader = _reader(config, columns, counts)
        own = Faults(config.max_bad, config.strict, reader.share_read)
        found = columns.documents(reader.records(expand([pattern])), Counter(), own, labelled=False)
        documents = [replace(document, domain=task) for document in found]
        own.decide()
        faults.append(own)
        references |= parts(task, documents)
    reference = [document for documents in references.values() for document in documents]
    train = _first_ones(config, Decontamination(reference).clean(train, counts), reference, counts)
    return {"train": train, **references}


def _first_ones(
    config: BuildConfig, train: Iterable[Document], reference: Sequence[Document], counts: Counter[str]
) -> Iterator[Document]:
    """The training documents without near-duplicates, if it is asked for; at least one. What is held out of them is
    taken from what stays, so that no near-duplicate of it is trained on."""
    if config.near_duplicates is not None:
        train = NearDuplicates(config.near_duplicates, reference).first_ones(train, counts)
    document = None
    for document in train:
        yield document
    if document is None:
        left_out = "; ".join(f"{number:,} {count}" for count, number in counts.items() if number)
        raise InputError(f"no training document is left: {left_out or 'none was read'}; give --files with others")


def _train(config: BuildConfig, counts: Counter[str], faults: list[Faults], tell: Any) -> Iterator[Document]:
    """The training documents. Once they are read it is decided whether too many rows were bad."""
    records: Iterator[Record | BadRow | BadFile]
    own = Faults(config.max_bad, config.strict)
    faults.append(own)
    columns = config.columns
    if config.source == "dataset":
        where = config.dataset, config.dataset_config, config.dataset_split, config.streaming
        records = dataset_records(*where, columns.top_level, columns.required)
    else:
        reader = _reader(config, columns, counts)
        own.share_read = reader.share_read
        records = reader.records(expand(config.files, counts), partial(tell, "read"))
    documents = columns.documents(records, counts, own)

    def decided() -> Iterator[Document]:
        yield from islice(documents, config.max_documents)
        own.decide()

    return decided()


def _reader(config: BuildConfig, columns: Columns, counts: Counter[str]) -> FileReader:
    return FileReader(
        columns.top_level,
        columns.required,
        config.document_a_line,
        config.refuse_invalid_utf8,
        config.csv_delimiter,
        counts,
    )


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        cuts = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"cuts of '{name}' are '{text}', expected numbers with commas, as in 1,2,3,4") from None
    if list(cuts) != sorted(set(cuts)):
        raise InputError(f"cuts of '{name}' are '{text}', expected rising numbers")
    return cuts
