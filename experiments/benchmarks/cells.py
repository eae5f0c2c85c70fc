"""Selecting documents at scale: what it costs to change the weights and draw, as documents and cells grow.

    python -m pretraingym.experiments.benchmarks.cells --documents 100000000

Synthetic corpora of a hundredth, a tenth and all of `documents`, each with labels of 5 x 7 x 13 categories and of
64 x 64 x 64, all of which occur. For each, in a process of its own: building the index into files, then opening it,
changing the weights until all is ready to draw, drawing, and the peak of resident memory with all of the index read. In
the same run the obvious way, a score of every document with numpy and the top of them, and that of released code, a
dictionary lookup a JSON line, timed on a million lines and extrapolated to all. The files were just written, so they
are read from the page cache. Times of re-weighting and drawing are medians, on the wall and of the processor; the two
differ where other work shares the cores. Prints a table; last line: one JSON object with the figures of the most
documents and the worse of the two cell counts (reweight_ms, draw_100k_ms, open_s, peak_rss_mib), what the other ways
took there at best (numpy_ms, json_lines_s), and all figures under `grid`.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro

CATEGORIES = ((5, 7, 13), (64, 64, 64))
JSON_LINES = 1_000_000
COLUMNS = (
    ("documents", "documents", ",.0f"), ("cells", "cells", ",.0f"), ("build_s", "build, s", ".1f"),
    ("build_rss_mib", "its MiB", ",.0f"), ("open_s", "open, s", ".4f"), ("reweight_ms", "reweight, ms", ".2f"),
    ("reweight_cpu_ms", "its CPU ms", ".2f"), ("draw_ms", "draw, ms", ".1f"), ("draw_cpu_ms", "its CPU ms", ".1f"),
    ("first_draw_ms", "first draw, ms", ".1f"), ("peak_rss_mib", "MiB", ",.0f"),
    ("numpy_ms", "numpy, ms", ",.0f"), ("json_lines_s", "JSON lines, s", ",.1f"),
)  # fmt: skip


@dataclass(frozen=True)
class CellsConfig:
    """How much is selected from."""

    documents: int = 100_000_000
    """of the largest corpus"""
    windows: int = 100_000
    """of 1,024 tokens a draw"""


def measure(config: CellsConfig) -> dict[str, object]:
    """Figures of all corpora and of the largest, as the module says."""
    grid = []
    print(" | ".join(title for _, title, _ in COLUMNS), flush=True)
    for documents in (config.documents // 100, config.documents // 10, config.documents):
        for categories in CATEGORIES:
            grid.append(_figures(documents, categories, config.windows))
            print(" | ".join(f"{grid[-1][key]:{form}}" for key, _, form in COLUMNS), flush=True)
    largest = grid[-len(CATEGORIES) :]
    headline = {f"{name}_ms": max(row[f"{name}_ms"] for row in largest) for name in ("reweight", "reweight_cpu")}
    thousands = config.windows // 1000
    headline |= {f"draw_{thousands}k{unit}": max(row[f"draw{unit}"] for row in largest) for unit in ("_ms", "_cpu_ms")}
    headline |= {key: max(row[key] for row in largest) for key in ("open_s", "peak_rss_mib")}
    headline |= {key: min(row[key] for row in largest) for key in ("numpy_ms", "json_lines_s")}
    return {"documents": config.documents, **headline, "load_average": os.getloadavg()[0], "grid": grid}


def _figures(documents: int, categories: tuple[int, ...], windows: int) -> dict[str, float]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        _run("generate", folder, documents=documents, sizes=categories)
        built = _run("build", folder)
        figures = _run("draw", folder, windows=windows)
        built_rss_mib = built.pop("peak_rss_mib")
        figures |= {"documents": documents, "build_rss_mib": built_rss_mib} | built
        for action, arguments in (("numpy", {"windows": min(windows, documents)}), ("json", {"documents": JSON_LINES})):
            compared = _run(action, folder, **arguments)
            figures[f"{action}_rss_mib"] = compared.pop("peak_rss_mib")
            figures |= compared
    return figures


def _run(action: str, folder: Path, **arguments: object) -> dict[str, float]:
    """What a process of its own measured; this one stays small, for a child's peak memory starts from its parent's."""
    command = [sys.executable, "-m", f"{__package__}.cells_process", action, str(folder), json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the process '{action}' failed:\n{done.stderr}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(CellsConfig, description=__doc__))))
