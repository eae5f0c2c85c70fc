"""The table of a comparison over scenarios, of made-up records."""

from typing import Any

import pytest

from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.analysis.policy_table import NULL, ORDINARY, RISKY, gain_cells, read_table
from pretraingym.experiments.analysis.scenario_table import (
    PairedRecords,
    ScenarioRuns,
    policy_rows,
    summarise,
    without_diverged_scenarios,
)
from pretraingym.experiments.analysis.statistics import NATURAL_ANEW, Speedup
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.baselines.fixed import Uniform


def record(
    number: int, natural: float | None, uniform: float | None, scales: dict[str, float | None]
) -> dict[str, Any]:
    """A record of a comparison, with twice as many tokens on a rung as its scale says."""

    def run(loss: float | None, tokens: int = 100) -> dict[str, Any]:
        return {"validation_loss_nats": loss, "test_loss_nats": {"prose": loss, "code": 9.0}, "tokens": tokens}

    policies = {"natural": run(natural), "uniform": run(uniform)}
    ladder = {scale: run(loss, int(200 * float(scale))) for scale, loss in scales.items()}
    return {"number": number, "scenario": {"reference": [["prose", 1.0]]}, "policies": policies, "ladder": ladder}


@pytest.mark.filterwarnings("ignore:The main reference tasks are few")
def test_a_diverged_run_counts_as_a_nat_lost(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    records = [record(0, 3.0, 2.5, {}), record(1, 3.0, None, {})]
    runs = ScenarioRuns(tiny_setting, Task(tiny_corpus, 16), records, {"uniform": Uniform()})
    told = read_table(summarise(runs)["policies"], "table")["uniform"]
    assert told.gain_nats == pytest.approx((0.5 - 1.0) / 2)
    assert told.win_rate == 0.5
    assert told.gain_by_task == {"prose": -0.25}


def test_scenarios_in_which_natural_diverged_are_left_out_for_all() -> None:
    records = [record(0, 3.0, 2.5, {"2": 2.0}), record(1, None, 2.0, {"2": 2.0}), record(2, 3.0, 2.0, {"2": None})]
    with pytest.warns(UserWarning, match=r"natural diverged in scenarios \[1, 2\]: they are left out for all"):
        assert without_diverged_scenarios(records) == records[:1]
    with pytest.raises(InputError, match="natural diverged in every scenario"):
        without_diverged_scenarios(records[1:])


@pytest.mark.filterwarnings("ignore:The main reference tasks are few")
def test_a_rung_stands_where_its_tokens_are_and_bounds_are_told(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    def fast(loss: float) -> Speedup | None:
        records, policies = [record(0, 3.0, loss, {"2": 2.0})], {"uniform": Uniform()}
        results = summarise(ScenarioRuns(tiny_setting, Task(tiny_corpus, 16), records, policies))
        return read_table(results["policies"], "table")["uniform"].speedup

    assert fast(2.0) == Speedup(pytest.approx(400 / tiny_setting.budget_tokens), False, False)
    worse = fast(3.5)
    assert worse is not None
    assert worse.is_upper_bound
    assert str(worse).startswith("≤ ")


@pytest.mark.filterwarnings("ignore:The main reference tasks are few")
def test_harm_is_told_of_all_scenarios_and_by_kind(
    tiny_corpus: Corpus, tiny_setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [record(number, 3.0, loss, {}) for number, loss in enumerate((2.5, 2.9, 3.1, 3.01))]
    records[1]["scenario"]["null"] = "heldout"  # the others have no such key, as records of earlier versions
    records[2]["scenario"]["null"] = "mixture"
    records[3]["scenario"]["null"] = "scarce"
    results = summarise(ScenarioRuns(tiny_setting, Task(tiny_corpus, 16), records, {"uniform": Uniform()}))
    row = read_table(results["policies"], "table")["uniform"]
    assert row.harm is not None
    assert (row.harm.scenarios, row.harm.harmed_share) == (4, 0.25)  # .01 nats worse is no harm
    assert row.harm.worst_tenth_nats == pytest.approx(-0.1)
    assert row.harm_by_kind is not None
    null, risky, ordinary = (row.harm_by_kind[kind] for kind in (NULL, RISKY, ORDINARY))
    assert (risky.scenarios, risky.gain_nats) == (1, pytest.approx(-0.01))
    assert (null.gain_nats, null.harmed_share) == (pytest.approx(0.0), 0.5)
    assert (ordinary.gain_nats, ordinary.harmed_share) == (pytest.approx(0.5), 0.0)
    assert [about["null"] for about in results["scenarios"]] == ["", "heldout", "mixture", "scarce"]
    told = capsys.readouterr().err
    assert "Where natural is right (2)" in told
    assert "Where natural is hard to beat (1)" in told
    assert "Other scenarios (1)" in told
    assert "25% (5–70%)" in told
    alone = summarise(ScenarioRuns(tiny_setting, Task(tiny_corpus, 16), records[1:3], {"uniform": Uniform()}))
    assert read_table(alone["policies"], "table")["uniform"].harm_by_kind is None
    assert "Other scenarios" not in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:The main reference tasks are few")
def test_over_fit_is_the_gain_on_validation_less_that_on_test(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    records = [record(0, 3.0, 2.5, {}), record(1, 3.0, 2.7, {}), record(2, 3.0, None, {})]
    records[0]["policies"]["uniform"]["validation_loss_nats"] = 2.3
    results = summarise(ScenarioRuns(tiny_setting, Task(tiny_corpus, 16), records, {"uniform": Uniform()}))
    row = read_table(results["policies"], "table")["uniform"]
    assert row.validation_gain_nats == pytest.approx((0.7 + 0.3) / 2)  # of the runs that did not diverge
    assert row.overfit_nats == pytest.approx((0.2 + 0.0) / 2)


@pytest.mark.filterwarnings("ignore:The main reference tasks are few")
def test_natural_from_another_seed_is_a_row_but_no_rival(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    records = [record(0, 3.0, 2.5, {"2": 2.0}), record(1, 3.0, 2.7, {"2": 2.0})]
    runs = ScenarioRuns(tiny_setting, Task(tiny_corpus, 16), records, {"uniform": Uniform()})
    before = summarise(runs)["policies"]
    assert set(before) == {"natural", "uniform"}  # the records of earlier versions lack it
    for each, loss in zip(records, (3.05, 2.99), strict=True):
        each["policies"][NATURAL_ANEW] = {**each["policies"]["natural"], "test_loss_nats": {"prose": loss}}
    after = summarise(runs)["policies"]
    assert {name: row for name, row in after.items() if name != NATURAL_ANEW} == before
    row = read_table(after, "table")[NATURAL_ANEW]
    assert row.gain_by_scenario == (-0.05, 0.01)
    assert row.harm is not None
    assert row.harm.harmed_share == 0.5
    assert (row.policies, row.over, row.speedup, row.all_in) == (None, None, None, None)
    assert (row.validation_gain_nats, row.overfit_nats) == (None, None)  # of two samples of windows
    _, cells = gain_cells(read_table(after, "table"))
    assert [cell[5:7] for cell in cells if cell[0] == NATURAL_ANEW] == [["–", "–"]]
    del records[1]["policies"][NATURAL_ANEW]  # a comparison that an earlier version began
    assert summarise(runs)["policies"] == before


def test_runs_of_several_corpora_are_pooled() -> None:
    """The same numbers and reference tasks on two corpora are other scenarios, in other clusters."""
    records = [
        {**record(number, 3.0, loss, {}), "corpus": corpus}
        for corpus, losses in (("one", (2.5, 2.5)), ("two", (3.5, 3.0)))
        for number, loss in enumerate(losses)
    ]
    runs = PairedRecords(records, {"uniform": ["uniform"]})
    assert runs.clusters == ["one: prose", "one: prose", "two: prose", "two: prose"]
    row = policy_rows(runs)["uniform"]
    assert row.gain_by_scenario == (0.5, 0.5, -0.5, 0.0)
    assert row.gain_by_task == {"one: prose": 0.5, "two: prose": -0.25}
    assert row.gain_ci95 == (-0.375, 0.5)  # a quarter of the resamples have the second corpus alone
    assert row.harm is not None
    assert (row.harm.scenarios, row.harm.harmed_share) == (4, 0.25)
    of_one = policy_rows(PairedRecords(records[:2], {"uniform": ["uniform"]}))["uniform"]
    assert of_one.gain_ci95 == (0.5, 0.5)
