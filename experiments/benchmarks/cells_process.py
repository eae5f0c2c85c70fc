"""The measured processes of the cells benchmark. Each runs alone and prints one JSON object, its peak memory included.

python -m pretraingym.experiments.benchmarks.cells_process ACTION FOLDER JSON_ARGUMENTS
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from ...env.cells.builder import LabelledDocuments
from ...env.cells.index import CellIndex
from ...env.cells.sampler import CellSampler, edges
from ...env.cells.store import open_cells, write_cells
from ...env.console.agent_scores import Standardiser
from ...env.console.console import Console
from ...lm.keyed_random import hash64

CONTEXT = 1024
CHUNK = 1 << 20
REPEATS = 15
Figures = dict[str, float]


def generate(folder: Path, documents: int, sizes: list[int]) -> Figures:
    """Token offsets and a label column for each of `sizes` categories. Lengths have a mean of 900 tokens and a long
    tail, some are 0; low categories are the frequent ones; the first documents are one of each cell."""
    rng, num_cells, end = np.random.default_rng(0), int(np.prod(sizes)), 0
    offsets = np.lib.format.open_memmap(folder / "offsets.npy", "w+", np.int64, (documents + 1,))
    columns = [
        np.lib.format.open_memmap(folder / f"labels-{number}.npy", "w+", np.uint16, (documents,))
        for number in range(len(sizes))
    ]
    for start in range(0, documents, CHUNK):
        number = np.arange(start, min(start + CHUNK, documents))
        lengths = (450 * rng.standard_exponential(len(number), np.float32) ** 2).astype(np.int64)
        lengths[number < num_cells] += 1
        part = slice(start, start + len(number))
        offsets[start + 1 : start + 1 + len(number)] = end + np.cumsum(lengths)
        end = int(offsets[start + len(number)])
        one_of_each = np.unravel_index(number % num_cells, sizes)
        for column, size, label in zip(columns, sizes, one_of_each, strict=True):
            random = (size * rng.random(len(number), np.float32) ** 2).astype(np.uint16)
            column[part] = np.where(number < num_cells, label, np.minimum(random, size - 1))
    return {"tokens": float(end)}


def build(folder: Path) -> Figures:
    """The index of the documents in `folder`, into `folder`/cells."""
    offsets, columns = _documents(folder)
    t0 = perf_counter()
    write_cells(folder / "cells", LabelledDocuments(offsets, CONTEXT, range(len(offsets) - 1), columns))
    return {"build_s": perf_counter() - t0}


def draw(folder: Path, windows: int) -> Figures:
    """Open the index, then change the weights and draw, over and over. Imports and what a run computes once, its
    standardised scores and its pool, are not timed; nor is reading the whole index at the end, for its memory."""
    t0 = _clocks()
    cells = open_cells(folder / "cells")
    open_s, _ = _clocks() - t0
    rng = np.random.default_rng(1)
    z_NKC = _scores(cells, rng)
    draws, console = CellSampler(cells, 1), Console()
    draws.reset(0, 0, cells.tokens_C.sum() / 2, cells.natural_C)
    spent_s = []  # wall and processor seconds of re-weighting, and of drawing
    for turn in range(REPEATS + 1):
        weights = rng.dirichlet(np.ones(z_NKC.shape[1]))[None]
        t0 = _clocks()
        shares_NC = console.shares(
            weights, z_NKC, draws.natural_NC, draws.pool_tokens_NC, draws.epochs_NC, windows * CONTEXT
        )
        edges(shares_NC, cells.window_tokens_C)
        t1 = _clocks()
        draws.draw(np.array([0]), shares_NC, windows, hash64(np.array([turn], np.uint64)))
        spent_s.append([t1 - t0, _clocks() - t1])
    reweight, drawing = 1e3 * np.median(spent_s[1:], 0)
    for array in (cells.document_D, cells.start_D, cells.group_start):
        array.max()
    return {
        "cells": cells.num_cells,
        "open_s": float(open_s),
        "reweight_ms": reweight[0],
        "reweight_cpu_ms": reweight[1],
        "draw_ms": drawing[0],
        "draw_cpu_ms": drawing[1],
        "first_draw_ms": 1e3 * float(spent_s[0][1][0]),
    }


def numpy_way(folder: Path, windows: int) -> Figures:
    """The obvious way: score every document by its labels, and take the best `windows` of them."""
    offsets, columns = _documents(folder)
    rng, elapsed_s = np.random.default_rng(1), []
    priorities = [rng.normal(size=int(column.max()) + 1).astype(np.float32) for column in columns.values()]
    for _ in range(4):
        weights = rng.dirichlet(np.ones(len(columns))).astype(np.float32)
        t0 = perf_counter()
        score = np.zeros(len(offsets) - 1, np.float32)
        for weight, priority, column in zip(weights, priorities, columns.values(), strict=True):
            score += (weight * priority)[column]
        np.argpartition(score, -windows)[-windows:]
        elapsed_s.append(perf_counter() - t0)
    return {"numpy_ms": 1e3 * float(np.median(elapsed_s[1:]))}


def json_lines(folder: Path, documents: int) -> Figures:
    """The way of released code: parse each JSON line, and look up the weight of each of its categories."""
    offsets, columns = _documents(folder)
    names, path = list(columns), folder / "documents.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for number, labels in enumerate(
            zip(*(column[:documents].tolist() for column in columns.values()), strict=True)
        ):
            file.write(json.dumps({"id": number} | dict(zip(names, map(str, labels), strict=True))) + "\n")
    rng = np.random.default_rng(1)
    weights = {name: {str(label): rng.normal() for label in range(int(columns[name].max()) + 1)} for name in names}
    t0, scores = perf_counter(), []
    with open(path, encoding="utf-8") as file:
        for line in file:
            document = json.loads(line)
            scores.append(sum(weights[name][document[name]] for name in names))
    elapsed_s = perf_counter() - t0
    return {"json_lines_s": elapsed_s * (len(offsets) - 1) / len(scores)}


def _clocks() -> np.ndarray:
    """Seconds on the wall, and of this process's work: the second is what the first would be on idle cores."""
    return np.array([perf_counter(), process_time()])


def _documents(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Token offsets and label columns, memory-mapped."""
    files = sorted(folder.glob("labels-*.npy"))
    offsets = np.load(folder / "offsets.npy", mmap_mode="r").view(np.ndarray)
    return offsets, {file.stem: np.load(file, mmap_mode="r").view(np.ndarray) for file in files}


def _scores(cells: CellIndex, rng: np.random.Generator) -> np.ndarray:
    """Standardised scores of null and of an agent with a random priority for each category, (1, K, C)."""
    labels_AC = cells.labels_CA.T
    scores = [rng.normal(size=int(label_C.max()) + 1)[label_C] for label_C in labels_AC]
    score_NKC = np.stack([np.zeros(cells.num_cells), *scores])[None]
    return Standardiser.of(score_NKC, cells.natural_C[None])(score_NKC)


ACTIONS: dict[str, Callable[..., Figures]] = {
    "generate": generate,
    "build": build,
    "draw": draw,
    "numpy": numpy_way,
    "json": json_lines,
}

if __name__ == "__main__":
    arguments: dict[str, Any] = json.loads(sys.argv[3])
    figures = ACTIONS[sys.argv[1]](Path(sys.argv[2]), **arguments)
    # Not getrusage's: that begins at what the parent held when it started this process.
    status = Path("/proc/self/status").read_text().splitlines()
    (peak_rss_kib,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps(figures | {"peak_rss_mib": peak_rss_kib / 1024}))
