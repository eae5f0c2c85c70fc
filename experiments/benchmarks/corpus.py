"""Building a corpus: how fast, in how much memory, and how fast it opens.

    python -m pretraingym.experiments.benchmarks.corpus --files mini.parquet --copies 1 8

Builds a corpus of the files once and of several copies of them, each in a process of its own whose memory (with that of
its workers) is watched. Beside it, in the same run, the `tokenizers` library alone tokenises the same text. Last line:
one JSON object with, for each number of copies, `tokenise_mb_per_s`, `library_mb_per_s`, `tokenise_ratio`,
`label_mb_per_s`, `peak_rss_mib` and `open_s`.
"""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np
import tyro

from ...lm.corpus.corpus import Corpus
from ...lm.corpus.token_set import BATCH_BYTES, batches, encode

LIBRARY_BYTES = 30_000_000  # of text on which the two are compared, in turns


@dataclass(frozen=True)
class CorpusBenchmark:
    """What is built."""

    files: tuple[str, ...]
    """data files, as for pretraingym corpus build"""
    copies: tuple[int, ...] = (1, 8)
    """how many times they are in the corpus"""
    vocab_size: int = 512
    """of the tokenizer"""
    folder: Path | None = None
    """where the corpora are built and left (default: a temporary folder)"""


def measure(config: CorpusBenchmark) -> dict[str, Any]:
    """Figures of a corpus of each number of copies."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = config.folder or Path(scratch)
        return {f"x{copies}": _measure(config, copies, folder / f"x{copies}") for copies in config.copies}


def _measure(config: CorpusBenchmark, copies: int, path: Path) -> dict[str, float]:
    # The same file twice is one file to `corpus build`: copies are links of other names.
    links = path.with_name(f"{path.name}-files")
    links.mkdir(parents=True)
    for name in config.files:
        for copy in range(copies):
            (links / f"{copy}-{Path(name).name}").symlink_to(Path(name).resolve())
    command = [sys.executable, "-m", "pretraingym.experiments", "corpus", "build", "--corpus", str(path)]
    command += ["--files", str(links), "--hold-out", "0.01", "--vocab-size", str(config.vocab_size)]
    begun = perf_counter()
    with open(links / "log.err", "w+") as log:
        peak_rss_mib = _watch(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log))
        figures: dict[str, float] = {"build_s": perf_counter() - begun, "peak_rss_mib": peak_rss_mib}
        log.seek(0)
        stages = _stage_s(log.read())
    begun = perf_counter()
    corpus = Corpus.open(path)
    figures["open_s"] = perf_counter() - begun
    figures["text_mb"] = float(corpus.texts.offsets[-1]) / 1e6
    figures |= {f"{name}_stage_s": seconds for name, seconds in stages.items()}
    figures["label_mb_per_s"] = figures["text_mb"] / max(stages["label"], 0.5)
    figures |= _tokenising(corpus)
    return {name: round(value, 4) for name, value in figures.items()}


def _watch(process: "subprocess.Popen[Any]") -> float:
    """The most memory that a process and its children held together, MiB; looked at ten times a second."""
    most = 0
    while process.poll() is None:
        most = max(most, sum(_pss_kib(number) for number in _family(process.pid)))
        sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed with exit code {process.returncode}")
    return most / 1024


def _family(root: int) -> set[int]:
    """The process and all its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    family = {root}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _pss_kib(process: int) -> int:
    """Resident memory, of which pages shared by several processes count their share in each."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _tokenising(corpus: Corpus) -> dict[str, float]:
    """Megabytes a second of ours (from file to file) and of the library alone (texts in memory, results thrown away)
    on the same documents, which take turns; medians of three."""
    stop = int(np.searchsorted(corpus.texts.offsets, LIBRARY_BYTES, side="right")) - 1
    stop = max(1, min(stop, len(corpus.texts)))
    texts = type(corpus.texts)(corpus.path / "text.bin", corpus.texts.offsets[: stop + 1])
    in_memory = [texts[part.start : part.stop] for part in batches(texts, BATCH_BYTES)]
    tokenizer, megabytes = corpus.tokenizer(), float(texts.offsets[-1]) / 1e6
    ours, library = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as scratch:
            begun = perf_counter()
            encode(texts, range(len(texts)), tokenizer, corpus.end_of_text, Path(scratch))
            ours.append(perf_counter() - begun)
        begun = perf_counter()
        for batch in in_memory:
            tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        library.append(perf_counter() - begun)
    return {
        "tokenise_mb_per_s": megabytes / float(np.median(ours)),
        "library_mb_per_s": megabytes / float(np.median(library)),
        "tokenise_ratio": float(np.median(np.array(library) / np.array(ours))),
    }


def _stage_s(log: str) -> dict[str, float]:
    """Seconds of each stage of a build, from the lines it writes without a terminal, as "label: done after 1:05"."""
    stages = {}
    for name, hours, minutes, seconds in re.findall(r"^(\w+): done after (?:(\d+):)?(\d+):(\d\d)", log, re.MULTILINE):
        stages[name] = 3600.0 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    return stages


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(CorpusBenchmark))))
