"""The table of policies in a results.json: what is written is read again, and what is none gets its line."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pretraingym.experiments.analysis.harm import Harm
from pretraingym.experiments.analysis.policy_table import PolicyRow, gain_cells, kind_cells, read_table, table_json
from pretraingym.experiments.analysis.statistics import Gain, Speedup
from pretraingym.lm.io.errors import InputError

TABLE = {
    "natural": PolicyRow(2.0),
    "lift": PolicyRow(
        1.9,
        gain_nats=0.1,
        gain_ci95=(0.05, 0.15),
        win_rate=0.75,
        harm=Harm(24, 0.1, 0.125, (0.043, 0.31), -0.04),
        validation_gain_nats=0.13,
        overfit_nats=0.03,
        speedup=Speedup(1.5, is_lower_bound=True),
        test_loss_by_task={"prose": 1.8},
        over={"uniform": Gain(0.02, None, (-0.1, 0.1))},
        gain_by_scenario=(0.1, 0.2),
        all_in={"10": (0.5, 1.5)},
        policies=1,
    ),
}


def test_what_is_written_is_read_lowest_loss_first() -> None:
    read = read_table(json.loads(json.dumps(table_json(TABLE))), "results.json")
    assert list(read) == ["lift", "natural"]
    assert read == TABLE


def test_both_kinds_of_row_have_the_same_keys() -> None:
    written = table_json(TABLE)
    assert written["natural"].keys() == written["lift"].keys()
    assert written["lift"]["speedup"] == {"factor": 1.5, "is_lower_bound": True, "is_upper_bound": False}
    assert written["natural"]["gain_ci95"] is None


def test_the_cells_are_those_of_the_policies() -> None:
    head, rows = gain_cells(TABLE)
    assert rows == [["lift", "+0.100", "+0.050 to +0.150", "12% (4–31%)", "−0.040", "+0.130", "+0.030", "≥ 1.50"]]
    assert len(head) == len(rows[0])
    slow = {name: replace(row, speedup=None) for name, row in TABLE.items()}
    assert "speed-up" in head
    assert "speed-up" not in gain_cells(slow)[0]
    assert kind_cells(TABLE) == {}
    harm = Harm(3, -0.05, 1 / 3, (0.06, 0.79), -0.1)
    told = kind_cells({"lift": replace(TABLE["lift"], harm_by_kind={"null": harm, "ordinary": harm})})
    assert list(told) == ["Where natural is right (3)", "Other scenarios (3)"]
    assert told["Other scenarios (3)"][1] == [["lift", "−0.050", "33% (6–79%)", "−0.100"]]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"gain_nats_and_ci95": [0.1, 0.0, 0.2]}, r"results\.json\.lift has the unknown key 'gain_nats_and_ci95'"),
        ({"gain_ci95": [0.1]}, r"results\.json\.lift\.gain_ci95 is \[0\.1\], expected a list of 2"),
        ({"speedup": 1.5}, r"results\.json\.lift\.speedup is 1\.5, expected an object"),
        ({"over": {"uniform": 0.1}}, r"results\.json\.lift\.over\.uniform is 0\.1, expected an object"),
        ({"test_loss_mean": None}, r"results\.json\.lift\.test_loss_mean is None, expected a finite number"),
    ],
)
def test_another_row_gets_its_line(change: dict[str, Any], line: str) -> None:
    written = table_json(TABLE)
    written["lift"] |= change
    with pytest.raises(InputError, match=f"{line}.*; results of another version cannot be read: run the command again"):
        read_table(written, "results.json")
