"""Runs whose mixtures and losses are known: two tables, joined and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...lm.io.errors import InputError
from ...lm.records.record import listed
from .tables import Array, Table, read_table

SUM_SLACK = 0.01  # by which a mixture's shares may sum to more or less than 1: published tables are rounded
PERCENT = 100.0
LEAST_RUNS, RUNS_PER_SHARE = 20, 2  # to be fitted (assumed)
LEAST_TESTED = 5  # to be ranked (assumed)


@dataclass(frozen=True)
class Runs:
    """domains: what the shares are of; mixtures: rows summing to 1, (N, domains); loss_N: to be minimised; losses: the
    columns that it is the mean of; names: of the runs; joined: how, in words."""

    domains: list[str]
    mixtures: Array
    loss_N: Array
    losses: list[str]
    names: list[str]
    joined: str


def read_runs(mixtures: Path, losses: Path, domains: Sequence[str] = (), wanted: Sequence[str] = ()) -> Runs:
    """The runs of two tables. domains: the columns that are shares (default: all but the id); wanted: the columns of
    losses whose mean is the loss (default: all but the id). InputError: they cannot be used."""
    _check_not_one_file(mixtures, losses)
    shares, table = read_table(mixtures), read_table(losses)
    order, names, joined = _join(shares, table)
    chosen = list(wanted) or table.names
    if not chosen:
        raise InputError(f"{losses} has no column but the runs' ids, expected a column for each loss")
    expected = "a number; take out runs that diverged, and name the losses with --loss if this is none"
    values = table.numbers(chosen, expected)[order]
    for name, column in zip(chosen, values.T, strict=True):
        if len(column) > 1 and np.ptp(column) == 0:
            raise InputError(
                f"{losses}: '{name}' is {column[0]:g} in every run, expected a loss; name them with --loss"
            )
    named = list(domains) or shares.names
    return Runs(named, _mixtures(shares, named), values.mean(1), chosen, names, joined)


def check_enough(runs: Runs, path: Path) -> None:
    """InputError: too few runs to fit on, or a column of which they tell nothing."""
    for name, column in zip(runs.domains, runs.mixtures.T, strict=True):
        if np.ptp(column) < 1e-9:
            raise InputError(
                f"{path}: '{name}' is {column[0]:.3g} in every run, which tells nothing of it; take the column out"
                + (" and the others' shares of the rest in" if column[0] > SUM_SLACK else "")
            )
    least = max(LEAST_RUNS, RUNS_PER_SHARE * len(runs.domains))
    if (count := len(np.unique(runs.mixtures, axis=0))) < least:
        raise InputError(
            f"{path} has {count} different mixtures of {len(runs.domains)} shares, expected at least {least}: run more"
        )


def check_test(test: Runs, path: Path) -> None:
    """InputError: too few runs to be ranked."""
    if len(test.loss_N) < LEAST_TESTED:
        raise InputError(f"{path} has {len(test.loss_N)} runs to test on, expected at least {LEAST_TESTED}")


def _check_not_one_file(mixtures: Path, losses: Path) -> None:
    if mixtures.exists() and losses.exists() and mixtures.samefile(losses):
        raise InputError(f"{mixtures} is given for the mixtures and for the losses, expected two files")


def _join(shares: Table, table: Table) -> tuple[list[int], list[str], str]:
    """(row of the losses for each row of the mixtures, names of the runs, how they were joined). On the ids where both
    tables have a column of them, in whatever order; row by row otherwise."""
    count, other = len(shares.places), len(table.places)
    if shares.id_name is None or table.id_name is None:
        if count != other:
            raise InputError(
                f"{shares.path} has {count} rows and {table.path} {other}, expected as many, or a column 'index' or "
                "'id' in both to join them on"
            )
        return list(range(count)), [str(row + 1) for row in range(count)], "row by row"
    ids, there = shares.ids(), table.ids()
    for one, path, others, other_path in ((ids, shares.path, there, table.path), (there, table.path, ids, shares.path)):
        known = set(others)
        if missing := [own for own in one if own not in known]:
            raise InputError(
                f"{len(missing)} of {len(one)} ids of {path} are not in {other_path}: {listed(missing)}, expected the "
                "same in both; take those runs out, or the ids to join row by row"
            )
    place = {own: row for row, own in enumerate(there)}
    joined = f"on '{shares.id_name}'" if shares.id_name else "on the first column"
    return [place[own] for own in ids], ids, joined


def _mixtures(table: Table, domains: list[str]) -> Array:
    """Rows that sum to 1; the file may have shares or percent."""
    if len(domains) < 2:
        raise InputError(f"{table.path} has shares of {listed(domains) or 'nothing'}, expected two columns or more")
    values = table.numbers(domains, "a share from 0 up; name the columns of shares with --domains if this is none", 0.0)
    sums = values.sum(1)
    unit = PERCENT if abs(np.median(sums) / PERCENT - 1) <= SUM_SLACK else 1.0
    for place, total in zip(table.places, sums, strict=True):
        if not abs(total / unit - 1) <= SUM_SLACK + 1e-9:
            raise InputError(
                f"{place}: the shares sum to {total:.4g}, expected {unit:g} ({unit * (1 - SUM_SLACK):g} to "
                f"{unit * (1 + SUM_SLACK):g}); mend the row, or name the columns of shares with --domains"
            )
    return np.asarray(values / sums[:, None])
