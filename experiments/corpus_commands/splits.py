"""The documents that a corpus is built of, by split: training text as a stream, reference text in memory."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from ...lm.ingest.documents import Columns, Document
from ...lm.ingest.held_out import Category, Decontamination, HeldOut, Sample, Survey, parts, without
from ...lm.ingest.near_duplicates import NearDuplicates
from ...lm.io.errors import InputError
from ...lm.records.data_files import expand
from ...lm.records.faults import Faults
from ...lm.records.hub_datasets import dataset_records
from ...lm.records.readers import FileReader
from ...lm.records.record import BadFile, BadRow, Record
from .practice import SAMPLED, SAMPLED_BYTES, Practice, practice_tasks
from .references import Benchmark, Files, NamedDataset, Source

if TYPE_CHECKING:
    from .build import BuildConfig

READ = "read"  # the stage in which the training text is read for the corpus
Records = Iterable[Record | BadRow | BadFile]


@dataclass
class Splits:
    """Reads what a configuration names. sources: of each reference task; tell: is told (stage, share that is done);
    counts: what is left out or mended; faults: of each source that is read; practice: the practice reference tasks,
    once `documents` was called."""

    config: "BuildConfig"
    sources: Mapping[str, Source]
    tell: Callable[[str, float], None]
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[Faults] = field(default_factory=list)
    practice: dict[str, Practice] = field(default_factory=dict)

    def documents(self) -> Mapping[str, Iterable[Document]]:
        """Documents by split: first the training documents, as a stream; then the reference documents, few, in memory.
        Reference text from elsewhere is read here, and the bad rows of it are decided on, before the long reading; so
        is what is held out of the training text for categories and practice, for which it is read once more."""
        config, references, taken = self.config, dict[str, list[Document]](), set[bytes]()
        train = self._train(self.counts, self.faults, READ)
        sample = Sample(SAMPLED, SAMPLED_BYTES) if config.practice else None
        held_out = self._survey(taken, sample)
        for task, source in self.sources.items():
            found = held_out[task] if isinstance(source, Category) else self._reference(task, source)
            references |= parts(task, found)
        known = Decontamination(document for documents in references.values() for document in documents)
        if sample is not None:
            self.practice = practice_tasks(sample, config.practice, taken, known)
            for task, practice in self.practice.items():
                held_out[task] = practice.documents
                references |= parts(task, practice.documents)
        if held_out:
            train = without(train, taken, sum(map(len, held_out.values())), self.counts)
        if references:
            train = known.clean(train, self.counts)
        train = self._first_ones(train, [document for documents in references.values() for document in documents])
        if config.hold_out is None:
            return {"train": train, **references}
        held = HeldOut(config.hold_out, self.counts, config.max_documents)
        return {"train": held.train(train), **references, **held.splits()}

    def _survey(self, taken: set[bytes], sample: Sample | None) -> dict[str, list[Document]]:
        """What is held out for each task that is a category. `taken` gets the hashes of its sources. `sample` is shown
        all training documents too."""
        surveys = {name: Survey(name, of) for name, of in self.sources.items() if isinstance(of, Category)}
        watching: list[Survey | Sample] = [*surveys.values(), *([] if sample is None else [sample])]
        if watching:
            for document in self._train(Counter(), [], "choose what to hold out"):
                for each in watching:
                    each.see(document)
        return {task: survey.chosen(taken) for task, survey in surveys.items()}

    def _reference(self, task: str, source: Source) -> list[Document]:
        """The documents of a reference task from elsewhere."""
        config = self.config
        text, group = config.reference_text.get(task, config.columns.text), config.reference_group.get(task, "")
        columns = replace(config.columns, text=text, group=group, domain="")
        own = Faults(config.max_bad, config.strict)
        records: Records
        if isinstance(source, Benchmark):
            from ..evaluation.harness_text import benchmark_records  # which loads torch: other corpora need none

            columns, records = Columns(), benchmark_records(source.name)
        elif isinstance(source, NamedDataset):
            where = source.name, source.config, source.split, config.streaming
            records = dataset_records(*where, columns.top_level, columns.required)
        else:
            assert isinstance(source, Files)
            reader = _reader(config, columns.top_level, columns.required, self.counts)
            own.share_read = reader.share_read
            records = reader.records(expand([source.pattern]))
        found = columns.documents(records, Counter(), own, labelled=False)
        documents = [replace(document, domain=task) for document in found]
        own.decide()
        self.faults.append(own)
        return documents

    def _first_ones(self, train: Iterable[Document], reference: Sequence[Document]) -> Iterator[Document]:
        """The training documents without near-duplicates, if it is asked for; at least one. What --hold-out takes is
        taken from what stays, so that no near-duplicate of it is trained on."""
        if self.config.near_duplicates is not None:
            train = NearDuplicates(self.config.near_duplicates, reference).first_ones(train, self.counts)
        document = None
        for document in train:
            yield document
        if document is None:
            left_out = "; ".join(f"{number:,} {count}" for count, number in self.counts.items() if number)
            raise InputError(f"no training document is left: {left_out or 'none was read'}; give --files with others")

    def _train(self, counts: Counter[str], faults: list[Faults], stage: str) -> Iterator[Document]:
        """The training documents. Once they are read it is decided whether too many rows were bad."""
        config, own = self.config, Faults(self.config.max_bad, self.config.strict)
        records: Records
        faults.append(own)
        columns = replace(config.columns, group=self._group())
        required = replace(columns, group="").required
        if config.source == "dataset":
            where = config.dataset, config.dataset_config, config.dataset_split, config.streaming
            records = dataset_records(*where, columns.top_level, required)
        else:
            reader = _reader(config, columns.top_level, required, counts)
            own.share_read = reader.share_read
            records = reader.records(expand(config.files, counts), partial(self.tell, stage))
        documents = columns.documents(records, counts, own)

        def decided() -> Iterator[Document]:
            grouped = not columns.group
            for document in islice(documents, config.max_documents):
                grouped = grouped or bool(document.group)
                yield document
            own.decide()
            if not grouped and stage == READ:
                warnings.warn(
                    f"no training document has a source in the column '{columns.group}', so that single documents "
                    "are held out; name another column, or leave it out",
                    stacklevel=2,
                )

        return decided()

    def _group(self) -> str:
        """The column of the training text's sources: --columns.group, or the --reference-group of a category."""
        named = {self.config.columns.group} - {""}
        for task, column in self.config.reference_group.items():
            named |= {column} if isinstance(self.sources[task], Category) else set()
        if len(named) > 1:
            raise InputError(
                f"the sources of the training text are in the columns {', '.join(sorted(named))}, expected one: give "
                "all categories the same --reference-group"
            )
        return min(named, default="")


def _reader(
    config: "BuildConfig", columns: tuple[str, ...], required: tuple[str, ...], counts: Counter[str]
) -> FileReader:
    return FileReader(
        columns,
        required,
        config.document_a_line,
        config.refuse_invalid_utf8,
        config.csv_delimiter,
        counts,
    )
