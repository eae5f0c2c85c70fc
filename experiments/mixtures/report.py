"""What a fit is told as: the printed table, the policy that holds the mixture, the flags that hold it as limits."""

import shlex
from collections.abc import Sequence

import numpy as np
from rich.table import Table

from ...policies.registry import make_policy
from .best import Best, Interval
from .runs import Runs

NATURAL = ("null", "natural")  # names of the column that selects nothing, where the columns are agents
DECIMALS = 3  # of the shares in flags


def constant_policy(domains: Sequence[str], mixture: np.ndarray) -> str | None:
    """The `constant:` policy that gives the agents (or families) called as the columns the weights of the mixture; None
    if no such text can be written, since a name has = or , in it or is `strength`."""
    shares = {name: share for name, share in zip(domains, mixture, strict=True) if name not in NATURAL}
    if any("=" in name or "," in name or name == "strength" for name in shares):
        return None
    strength = min(1.0, sum(shares.values()))
    text = ",".join([f"strength={strength:.4f}", *(f"{name}={share:.5f}" for name, share in shares.items())])
    make_policy(policy := f"constant:{text}")
    return policy


def limit_flags(domains: Sequence[str], mixture: np.ndarray) -> str | None:
    """The flag of `pretrain` by which each category of the label `domain` gets at least its share. Rounded down, so
    that they do not sum to more than 1; what is left is the policy's to give. None if all are rounded to nothing."""
    floors = np.floor(mixture * 10**DECIMALS + 1e-9) / 10**DECIMALS
    some = [(name, share) for name, share in zip(domains, floors, strict=True) if share > 0]
    words = [shlex.quote(f"domain={name}:{share:g}") for name, share in some]
    return " ".join(["--share", *words]) if words else None


def mixture_table(runs: Runs, best: Best) -> Table:
    """A row for each column of the mixtures, the largest share first."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("the best mixture", overflow="ellipsis", no_wrap=True)  # names may be cut, numbers may not
    for heading, width in (("share", 5), ("95% of refits", 14), ("mean of\nthe runs", 8), ("in the runs", 14)):
        table.add_column(heading, justify="right", min_width=width)
    mean, least, most = runs.mixtures.mean(0), runs.mixtures.min(0), runs.mixtures.max(0)
    for row in np.argsort(-best.mixture, kind="stable"):
        refits, seen = f"{best.low[row]:.3f} to {best.high[row]:.3f}", f"{least[row]:.3f} to {most[row]:.3f}"
        table.add_row(runs.domains[row], f"{best.mixture[row]:.3f}", refits, f"{mean[row]:.3f}", seen)
    return table


def loss_lines(runs: Runs, best: Best, held_out_N: np.ndarray) -> list[str]:
    """What is predicted of the best mixture and of the mean one, and what was measured of the best run. held_out_N: the
    predictions for the runs by regressions without them."""
    first = int(runs.loss_N.argmin())
    return [
        f"predicted loss of the best mixture: {best.best_loss:.4f} {_interval(best.best_loss_ci95)}",
        f"predicted loss of the runs' mean mixture: {best.mean_loss:.4f} {_interval(best.mean_loss_ci95)}",
        f"the best one is lower by: {best.gain:.4f} {_interval(best.gain_ci95)}",
        f"lowest loss of a run: {runs.loss_N[first]:.4f}, run {runs.names[first]}; predicted without it: "
        f"{held_out_N[first]:.4f}",
    ]


def loss_in_words(losses: Sequence[str]) -> str:
    """What is minimised."""
    if len(losses) == 1:
        return losses[0]
    shown = ", ".join(losses[:3]) + (", ..." if len(losses) > 3 else "")
    return f"the mean of {len(losses)} columns: {shown}"


def _interval(interval: Interval) -> str:
    return "[{:.4f}, {:.4f}]".format(*interval)
