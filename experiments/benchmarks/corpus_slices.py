"""Slices of the text of eight domains, which are like corpora of different users.

    python -m pretraingym.experiments.benchmarks.corpus_slices --data DATA --folder FOLDER

DATA has the files `corpus/train-DOMAIN.parquet` of the data card in experiments/results/corpora; FOLDER gets a parquet
file a slice. Repositories are split in two: about a third of each domain's text is for sealed comparisons, the rest for
learning, so that no slice of one kind shares a repository with one of the other. A slice is of 3 to 40 repositories,
drawn by its seed, and of more where these have less than 8 MB. It has 8 to 32 MB where there is as much, and at least
one document. Its column `domain` is the text's domain, in every other slice the repository. Rows without a text, domain
or source are left out.
"""

import hashlib
import json
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tyro

from ...lm.io.errors import InputError
from ...lm.io.files import new_part, sync_folder

LEARNING, SEALED = 20, 6  # slices of each kind
SEALED_SHARE = 0.3  # of a domain's text, at least; a repository of more than half of its domain is for learning
SMALLEST, LARGEST = 8e6, 32e6  # bytes of text


@dataclass(frozen=True)
class SlicesConfig:
    """From where to where."""

    data: Path
    """folder that has corpus/train-DOMAIN.parquet"""
    folder: Path
    """new folder for the slices"""
    seed: int = 0
    """of the draws of repositories; other seeds give other slices, of the same repositories kept for each kind"""


def write_slices(config: SlicesConfig) -> list[Path]:
    """Write all slices, in a folder beside config.folder that is renamed to it; their files. InputError: there is no
    text, or none for one of the kinds, or the folder exists."""
    paths = sorted((config.data / "corpus").glob("train-*.parquet"))
    if not paths:
        raise InputError(f"{config.data} has no corpus/train-*.parquet, expected the folder of the data card's text")
    if config.folder.exists():
        raise InputError(f"{config.folder} exists; name a new --folder")
    tables = [pq.read_table(path) for path in paths]
    table = pa.concat_tables(tables).select(["text", "domain", "source"]).drop_null()
    repository = np.array([source.partition(":")[0] for source in table["source"].to_pylist()], str)
    size = np.array([len(text.encode()) for text in table["text"].to_pylist()], np.int64)
    sealed = np.isin(repository, list(_sealed(np.array(table["domain"].to_pylist()), repository, size)))
    if sealed.all() or not sealed.any():
        raise InputError(
            f"{config.data} has no repositories for {'learning' if sealed.any() else 'sealed'} slices; give text of "
            "several repositories, none of which is more than half of its domain"
        )
    part = new_part(config.folder)
    try:
        names = _write(part, table, repository, size, sealed, config.seed)
        sync_folder(part)
        os.replace(part, config.folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [config.folder / name for name in names]


def _write(
    folder: Path, table: pa.Table, repository: np.ndarray, size: np.ndarray, sealed: np.ndarray, seed: int
) -> list[str]:
    """Write the slices of a table's rows; their names. sealed: whether each row is for sealed comparisons."""
    names = list[str]()
    for kind, count in (("learning", LEARNING), ("sealed", SEALED)):
        own = np.flatnonzero(sealed == (kind == "sealed"))
        for number in range(1, count + 1):
            rows = own[_slice(repository[own], size[own], np.random.default_rng([number, count, seed]))]
            chosen = table.take(rows)
            if number % 2 == 0:
                chosen = chosen.set_column(1, "domain", pa.array(repository[rows]))
            names.append(f"{kind}-{number:02}.parquet")
            pq.write_table(chosen, folder / names[-1], compression="zstd")
    return names


def _sealed(domain: np.ndarray, repository: np.ndarray, size: np.ndarray) -> set[str]:
    """The repositories that are for sealed comparisons; one may have text of several domains."""
    sealed: set[str] = set()
    for name in sorted(set(domain)):
        bytes_of: dict[str, int] = defaultdict(int)
        for each, number in zip(repository[domain == name], size[domain == name], strict=True):
            bytes_of[each] += int(number)
        total = sum(bytes_of.values())
        of_domain = sum(bytes_of[each] for each in bytes_of if each in sealed)
        for each in sorted(bytes_of, key=lambda each: hashlib.sha256(each.encode()).digest()):
            if of_domain < SEALED_SHARE * total and each not in sealed and bytes_of[each] <= total / 2:
                sealed.add(each)
                of_domain += bytes_of[each]
    return sealed


def _slice(repository: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rising positions of a slice's documents: whole text of some repositories, then a random part of it if that is too
    much, of at least one document."""
    names = np.unique(repository)
    wanted = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST)))
    number = round(np.exp(rng.uniform(np.log(3), np.log(40))))
    order = rng.permutation(names)
    bytes_of = {name: int(size[repository == name].sum()) for name in names}
    chosen, total = list[str](), 0
    for name in order:
        if len(chosen) < number or total < SMALLEST:
            chosen.append(str(name))
            total += bytes_of[name]
    rows = rng.permutation(np.flatnonzero(np.isin(repository, chosen)))
    fitting = np.count_nonzero(np.cumsum(size[rows]) <= wanted)
    return np.sort(rows[: max(fitting, 1)])


if __name__ == "__main__":
    print(json.dumps([str(path) for path in write_slices(tyro.cli(SlicesConfig, description=__doc__))]))
