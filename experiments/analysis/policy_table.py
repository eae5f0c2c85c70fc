"""The `policies` of a results.json: one row a policy, the same for every command that compares policies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...lm.io.errors import InputError
from ...lm.io.typed_json import from_json, mapping, to_json
from .harm import Harm
from .statistics import NONE, Gain, Speedup, interval, signed

NULL, RISKY, ORDINARY = "null", "risky", "ordinary"  # kinds of scenarios, by what natural is in them
TITLES = {NULL: "Where natural is right", RISKY: "Where natural is hard to beat", ORDINARY: "Other scenarios"}
Cells = tuple[list[str], list[list[str]]]  # of a table: its head, and its rows


@dataclass(frozen=True)
class PolicyRow:
    """What is known of one policy; None (null in JSON) where the command does not measure it.

    Losses and gains are nats per token on the test parts, by the scenario's weighting of its reference tasks. Gains
    are over natural, paired by seed or by scenario and seed; positive is better. `gain_ci95`: low and high."""

    test_loss_mean: float
    gain_nats: float | None = None
    gain_ci95: tuple[float, float] | None = None
    gain_sd: float | None = None  # standard deviation between seeds
    win_rate: float | None = None  # share of the scenarios in which the gain is above 0
    speedup: Speedup | None = None
    test_loss_sd: float | None = None  # standard deviation between seeds
    test_loss_by_task: dict[str, float] | None = None
    test_bits_per_byte: float | None = None
    harm: Harm | None = None  # over all scenarios
    harm_by_kind: dict[str, Harm] | None = None  # over each of these kinds, where there are several
    validation_gain_nats: float | None = None  # the gain on the validation text, which steers
    overfit_nats: float | None = None  # that less the gain on the test text, over the runs that did not diverge
    over: dict[str, Gain] | None = None  # rival -> the gain over it
    gain_by_scenario: tuple[float, ...] | None = None
    gain_by_task: dict[str, float] | None = None  # by the scenarios' main reference task
    all_in: dict[str, tuple[float, ...]] | None = None  # FLOPs of a target over a proxy's -> all-in ratios (charges.py)
    describe: str | None = None  # the policy in words
    policies: int | None = None  # how many, learned alike, share the name; None of natural's own rows

    @property
    def gain(self) -> Gain | None:
        return None if self.gain_nats is None else Gain(self.gain_nats, self.gain_sd, self.gain_ci95)


def table_json(table: dict[str, PolicyRow]) -> dict[str, Any]:
    """The table as it stands in results.json."""
    return {name: to_json(row) for name, row in table.items()}


def read_table(value: Any, where: str) -> dict[str, PolicyRow]:
    """The table that `table_json` made `value` of, lowest test loss first. InputError: it is another; `where` begins
    the line."""
    try:
        mapping(value, where)
        table = {name: from_json(PolicyRow, row, f"{where}.{name}") for name, row in value.items()}
    except InputError as error:
        raise InputError(f"{error}; results of another version cannot be read: run the command again") from None
    return dict(sorted(table.items(), key=lambda item: item[1].test_loss_mean))


def gain_cells(table: Mapping[str, PolicyRow]) -> Cells:
    """What every policy gains over natural, on the test and on the validation parts, and how often it harms; its
    speed-up, if some policy has one."""
    rows = {name: row for name, row in table.items() if row.harm is not None}
    fast = any(row.speedup for row in rows.values())
    cells = [
        [name, *_harm_cells(row.harm, interval(row.gain)), signed(row.validation_gain_nats)]
        + [signed(row.overfit_nats)]
        + [str(row.speedup or NONE)] * fast
        for name, row in rows.items()
        if row.harm is not None
    ]
    head = ["policy", "gain", "95% interval", "harmed", "worst tenth", "validation gain", "over-fit"]
    return head + ["speed-up"] * fast, cells


def kind_cells(table: Mapping[str, PolicyRow]) -> dict[str, Cells]:
    """Title -> what every policy gains, and how often it harms, in one kind of scenarios; empty if all are of one."""
    found: dict[str, Cells] = {}
    for name, row in table.items():
        for kind, harm in (row.harm_by_kind or {}).items():
            title = f"{TITLES[kind]} ({harm.scenarios})"
            head, rows = found.setdefault(title, (["policy", "gain", "harmed", "worst tenth"], []))
            rows.append([name, *_harm_cells(harm)])
    return found


def _harm_cells(harm: Harm, *between: str) -> list[str]:
    low, high = harm.harmed_ci95
    harmed = f"{harm.harmed_share:.0%} ({100 * low:.0f}–{high:.0%})"
    return [signed(harm.gain_nats), *between, harmed, signed(harm.worst_tenth_nats)]
