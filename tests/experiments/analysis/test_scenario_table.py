"""The table of a comparison over scenarios, of made-up records."""

from typing import Any

import pytest

from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.analysis.policy_table import read_table
from pretraingym.experiments.analysis.scenario_table import ScenarioRuns, summarise, without_diverged_scenarios
from pretraingym.experiments.analysis.statistics import Speedup
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
