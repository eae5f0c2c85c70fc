"""What a claim's comparisons come to when they are pooled, of made-up records."""

from typing import Any

import pytest

from pretraingym.experiments.analysis.statistics import NATURAL_ANEW
from pretraingym.experiments.benchmarks.claim_protocol import Bars, ClaimCorpus, Protocol
from pretraingym.experiments.benchmarks.claim_table import (
    ALL,
    KNOWN,
    NEW,
    claim_page,
    group_of,
    judge,
    pool,
    pooled_tables,
)

Rows = list[tuple[str, str, float | None, float]]  # of scenarios: main reference task, null, gain of lift, of best


def protocol(bars: Bars, *policies: str) -> Protocol:
    corpora = (
        ClaimCorpus("one", None, 3, (), (), policies, {}),
        ClaimCorpus("two", None, 3, (), ("novel",), policies, {}),
    )
    return Protocol(
        "lift never harms",
        "sealed",
        0,
        1,
        0.3,
        (),
        16,
        None,
        corpora,
        ("lift", "best=uniform"),
        {},
        "lift",
        "best",
        bars,
    )


def results(rows: Rows, kept: int | None = None) -> dict[str, Any]:
    """A comparison's results.json, as far as a claim reads it; the last scenarios are left out."""

    def run(gain: float | None, task: str) -> dict[str, Any]:
        loss = None if gain is None else 3.0 - gain
        return {"validation_loss_nats": loss, "test_loss_nats": {task: loss, "other": 9.0}, "tokens": 100}

    def record(number: int, task: str, null: str, lift: float | None, best: float) -> dict[str, Any]:
        scenario = {"reference": [["other", 0.0], [task, 1.0]], "null": null}
        gains = {"natural": 0.0, "lift": lift, "best": best, NATURAL_ANEW: -0.01}
        policies = {name: run(gain, task) for name, gain in gains.items()}
        return {"number": number, "scenario": scenario, "policies": policies, "ladder": {}}

    runs = [record(number, *row) for number, row in enumerate(rows)]
    harm = {"gain_nats": 0.123, "harmed_share": 0.25}
    own = {name: {"harm": harm, "gain_by_scenario": [0.0]} for name in ("lift", "best", NATURAL_ANEW)}
    about = [{"number": record["number"]} for record in runs[:kept]]
    return {"runs": runs, "scenarios": about, "policies": own, "costs": {"params": 7}, "natural_ladder": []}


ONE: Rows = [("old", "", 0.3, 0.1), ("old", "heldout", -0.03, -0.1), ("old", "few", 0.0, 0.0)]
TWO: Rows = [("novel", "", 0.1, 0.05), ("old", "", 0.1, 0.0), ("novel", "scarce", -0.01, 0.0)]
BARS = Bars(0.02, 0.02, -0.03, 0.15, 0.1, 0.0)


def test_a_group_is_a_kind_or_what_the_main_reference_is() -> None:
    scenario = {"reference": [["old", 0.4], ["novel", 0.6]]}
    assert group_of(scenario, ["novel"]) == NEW
    assert group_of(scenario, ["old"]) == KNOWN
    assert group_of(scenario | {"null": "mixture"}, ["novel"]) == "null"
    assert group_of(scenario | {"null": "few"}, ["novel"]) == "risky"


def test_bars_are_judged_by_the_numbers_of_their_scenarios() -> None:
    pooled = pool(protocol(BARS), {"one": results(ONE), "two": results(TWO)})
    told = {verdict["bar"]: (verdict["found"], verdict["met"]) for verdict in pooled["verdicts"]}
    assert told == {
        "harmed share": (pytest.approx(1 / 6, abs=1e-4), False),
        "worst tenth, nats": (-0.03, True),
        "gain on ordinary scenarios of known references, nats": (0.2, True),
        "gain on ordinary scenarios of new references, nats": (0.1, True),
        "gain over best, nats": (pytest.approx(0.41 / 6, abs=1e-4), True),
    }
    assert pooled["met"] is False
    assert pooled["verdicts"][0]["ci95"] == [0.0301, 0.5635]  # Wilson's of one in six
    assert list(pooled["tables"]) == ["all", "null", "risky", "ordinary", "ordinary-known", "ordinary-new"]
    assert [row["gains"] for row in pooled["scenarios"]][1] == [[-0.03, -0.03], [-0.1, -0.1], [-0.01, None]]
    assert pooled["scenarios"][3]["references"] == {"other": 0.0, "novel": 1.0}
    page = claim_page(protocol(BARS), pooled)
    assert "# Claim: not all bars are met" in page
    assert "| harmed share | at most 0.02 | 0.1667 | 0.0301 to 0.5635 | no |" in page
    assert "## Where natural is right (1)" in page
    assert "| lift | +0.123, 25% | +0.123, 25% |" in page
    assert "Left out" not in page


def test_a_bar_is_not_met_where_nothing_tells() -> None:
    bars = Bars(0.02, None, None, None, 0.0, 10.0)
    own = protocol(bars)
    pooled = pool(own, {"one": results(ONE), "two": results(TWO[1:])})
    assert [verdict["met"] for verdict in pooled["verdicts"]] == [False, False]
    assert [verdict["found"] for verdict in pooled["verdicts"]][0] is None
    assert "| – | – | no |" in claim_page(own, pooled)


def test_scenarios_that_a_comparison_left_out_are_left_out_and_told() -> None:
    found = {"one": results(ONE), "two": results(TWO, kept=2)}
    pooled = pool(protocol(BARS), found)
    assert len(pooled["scenarios"]) == 5
    assert (pooled["corpora"]["one"]["left_out"], pooled["corpora"]["two"]["left_out"]) == ([], [2])
    assert "Left out, since natural diverged in them: {'two': [2]}." in claim_page(protocol(BARS), pooled)


def test_a_run_that_diverged_lost_a_nat_and_has_no_validation_gain() -> None:
    rows: Rows = [("old", "", None, 0.1), *ONE[1:]]
    pooled = pool(protocol(BARS), {"one": results(rows), "two": results(TWO)})
    assert pooled["scenarios"][0]["gains"][0] == [-1.0, None]
    assert pooled["verdicts"][1]["found"] == -1.0


def test_only_policies_of_all_corpora_are_pooled() -> None:
    own = protocol(BARS, "mine=lift+uniform")
    assert own.shared == ("lift", "best", "mine")
    unlike = Protocol(
        **{**vars(own), "corpora": (own.corpora[0], ClaimCorpus("two", None, 3, (), (), ("mine=lift",), {}))}
    )
    assert unlike.shared == ("lift", "best")
    rows = [{**record, "corpus": "one"} for record in results(ONE)["runs"]]
    table = pooled_tables(own, rows, {"lift": ["lift"]})[ALL]
    assert list(table) == ["natural", "lift", NATURAL_ANEW]


def test_the_low_end_over_the_rival_counts() -> None:
    rows: Rows = [("old", "", 0.3, 0.0), ("older", "", 0.0, 0.1), ("oldest", "", 0.0, 0.1)]
    records = [{**record, "corpus": "one"} for record in results(rows)["runs"]]
    tables = pooled_tables(protocol(BARS), records, {"lift": ["lift"], "best": ["best"]})
    verdict = judge(protocol(BARS), tables)[-1]
    assert verdict.found == pytest.approx(0.1 / 3)
    assert verdict.ci95 == (pytest.approx(-0.1), pytest.approx(0.3))
    assert not verdict.met
