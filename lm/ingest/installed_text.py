"""Documents of the installed packages' files: shared out to splits, without copies, within limits a domain."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..corpus.corpus import REFERENCE_PARTS, TRAIN, reference_split
from .documents import Document
from .extract import CODE, DATA, LICENCES, NATIVE, PROSE, STUBS, TESTS, domains_of, extract
from .installed_files import SourceFile, read_text
from .sentences import explains

MIN_PARAGRAPH = 80  # normalised characters; shorter ones (imports, decorators) often repeat by chance
MAX_SEEN = 0.25  # share of a document's text that may have been seen
PLAIN_WORD = re.compile(r"\b[a-z][a-z_]+\b")


class Repetition:
    """The paragraphs seen so far. Code and prose are compared only by their lower-case words, so that a copied class
    with another name and other numbers is still a copy; tables (`exact`) by everything but white space."""

    def __init__(self) -> None:
        self._train: set[int] = set()  # 64-bit hashes: they differ between processes, the answers do not
        self._reference: set[int] = set()

    def accept(self, text: str, exact: bool, reference: bool) -> bool:
        """Whether to keep `text`; if so, remember it. A document is refused when more than a quarter of it was seen, or
        when it shares any paragraph with a reference document, so that no reference text is trained on."""
        normalised = (_normalised(block, exact) for block in text.split("\n\n"))
        paragraphs = [(hash(block), len(block)) for block in normalised if len(block) >= MIN_PARAGRAPH]
        document = hash(" ".join(text.split()))
        keys = {key for key, _ in paragraphs} | {document}
        if keys & self._reference:
            return False
        seen = sum(length for key, length in paragraphs if key in self._train)
        if document in self._train or seen > MAX_SEEN * sum(length for _, length in paragraphs):
            return False
        (self._reference if reference else self._train).update(keys)
        return True


def _normalised(block: str, exact: bool) -> str:
    return " ".join(block.split() if exact else PLAIN_WORD.findall(block))


@dataclass(frozen=True)
class InstalledText:
    """How to make documents of installed files. Sizes in bytes of text."""

    seed: int = 0
    """of the order of the files and of their splits"""
    domain_bytes: dict[str, int] = field(
        default_factory=lambda: {
            PROSE: 9_000_000,
            CODE: 10_000_000,
            TESTS: 7_500_000,
            NATIVE: 5_500_000,
            STUBS: 2_000_000,
            DATA: 3_000_000,
            LICENCES: 500_000,
        }
    )
    """training text of each domain, at most"""
    reference_bytes: int = 400_000
    """text in each part of each reference task, at most"""
    reference_share: float = 0.05
    """share of the files for each part of each reference task"""
    distribution_share: float = 0.25
    """share of a domain's text in a split that may come from one distribution"""
    folder_share: float = 0.04
    """share of a domain's text in a split that may come from one folder"""
    reference_file_documents: int = 3
    """documents of one file in a reference split, at most, so that a task is more than a few files"""


TASKS = (PROSE, CODE)


def installed_documents(
    files: Sequence[SourceFile], config: InstalledText, progress: Callable[[float], None] | None = None
) -> dict[str, list[Document]]:
    """Documents of installed files, by split. All documents of a file are in one split; the reference splits are filled
    first, and no training document shares a paragraph with them."""
    roles = [(split, task) for task in TASKS for split in (reference_split(task, part) for part in REFERENCE_PARTS)]
    queues: dict[str, list[SourceFile]] = {split: [] for split in (TRAIN, *(split for split, _ in roles))}
    for file in sorted(files, key=lambda file: _number(config.seed, "order", file)):
        place = int(_number(config.seed, "split", file) / config.reference_share)
        domains = domains_of(file.name)
        if domains:
            split, task = roles[place] if place < len(roles) else (TRAIN, "")
            queues[split if task in domains else TRAIN].append(file)
    seen = Repetition()
    splits = {}
    for split, task in roles:
        splits[split] = _take(queues[split], {task: config.reference_bytes}, config, seen, reference=True)
    train = _take(queues[TRAIN], config.domain_bytes, config, seen, reference=False, progress=progress)
    return {TRAIN: train} | splits


def _take(
    files: Sequence[SourceFile],
    room: dict[str, int],
    config: InstalledText,
    seen: Repetition,
    reference: bool,
    progress: Callable[[float], None] | None = None,
) -> list[Document]:
    """Documents of `files` in their order, until each domain's `room` (bytes) is filled."""
    used: Counter[tuple[str, str]] = Counter()
    documents = []
    for number, file in enumerate(files):
        folder = file.name.rpartition("/")[0]

        def fits(domain: str, file: SourceFile = file, folder: str = folder) -> bool:
            total = room.get(domain, 0)
            return (
                used[domain, ""] < total
                and used[domain, file.distribution] < config.distribution_share * total
                and used[domain, folder] < config.folder_share * total
            )

        if not any(map(fits, domains_of(file.name))):
            continue
        for domain, texts in extract(file.name, read_text(file)).items():
            taken = 0
            for text in texts:
                if not fits(domain) or (reference and taken == config.reference_file_documents):
                    break
                if reference and domain == PROSE and not explains(text):
                    continue
                if seen.accept(text, exact=domain in {DATA, LICENCES}, reference=reference):
                    taken += 1
                    documents.append(Document(text, domain))
                    for scope in ("", file.distribution, folder):
                        used[domain, scope] += len(text.encode("utf-8", "replace"))
        if progress and number % 100 == 0:
            progress(sum(min(1, used[domain, ""] / total) for domain, total in room.items()) / len(room))
    return documents


def _number(seed: int, use: str, file: SourceFile) -> float:
    """A number in [0, 1) that depends only on the seed, the use and the file's name."""
    digest = hashlib.blake2b(f"{seed}/{use}/{file.name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
