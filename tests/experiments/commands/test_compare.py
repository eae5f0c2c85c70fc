"""pretraingym compare: paired runs, resumed exactly, and statistics against closed forms."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretraingym.env.scenarios.distribution import ScenarioDistribution
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.analysis.bootstrap import bootstrap_weights, interval, resampled
from pretraingym.experiments.analysis.charges import all_in_ratio, run_charges
from pretraingym.experiments.analysis.scenario_table import Compared, fast_of, summarise, where_natural_ended
from pretraingym.experiments.commands.compare import CompareConfig, _scenario, main, side_by_side
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.proxies.stack import ProxyStack
from pretraingym.policies.baselines.fixed import Uniform
from pretraingym.policies.baselines.rules import Lift


def test_independent_scenarios_give_the_plain_standard_error() -> None:
    """Where every scenario is a cluster of one run, a resampled mean varies by the biased variance over n."""
    values = np.random.default_rng(0).normal(size=(40, 1))
    weights = bootstrap_weights(range(40), 1, draws=20_000)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights @ values[:, 0]).std() == pytest.approx(values.std() / 40**0.5, rel=0.03)
    mean, low, high = interval(values.mean(), resampled(weights, values[..., None]))
    assert mean == values.mean()
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 40**0.5, rel=0.05)


def test_scenarios_that_are_one_count_once() -> None:
    """Ten clusters of four equal scenarios with two equal seeds are ten numbers, not eighty."""
    ten = np.random.default_rng(1).normal(size=10)
    values = np.repeat(ten, 4)[:, None] * np.ones((1, 2))
    weights = bootstrap_weights(np.repeat(np.arange(10), 4).tolist(), 2, draws=20_000)
    assert (weights @ values.reshape(-1)).std() == pytest.approx(ten.std() / 10**0.5, rel=0.03)


def test_every_level_adds_its_variance() -> None:
    """Of independent runs in clusters of 3 scenarios with 2 seeds: the variance of a resampled mean is, in expectation,
    (1 - 1/C) of the clusters' means plus within parts (Davison and Hinkley 1997, 3.8); here by brute force."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(12, 1)).repeat(2, 1) + 0.5 * rng.normal(size=(12, 2))
    clusters = np.repeat(np.arange(4), 3)
    means = values.reshape(4, 3, 2)
    drawn = []
    for _ in range(20_000):
        of = [means[c][rng.integers(3, size=3)] for c in rng.integers(4, size=4)]
        drawn.append(np.mean([row[rng.integers(2, size=2)].mean() for part in of for row in part]))
    weights = bootstrap_weights(clusters.tolist(), 2, draws=20_000)
    assert (weights @ values.reshape(-1)).std() == pytest.approx(np.std(drawn), rel=0.03)


def test_a_policy_learned_thrice_is_three_numbers() -> None:
    """Where the runs of a policy are all alike and policies differ, resampled means vary as those of so few numbers."""
    three = np.random.default_rng(3).normal(size=3)
    values = np.broadcast_to(three, (20, 2, 3))
    draws = resampled(bootstrap_weights(range(20), 2, draws=20_000), values)
    assert draws.mean() == pytest.approx(three.mean(), abs=0.02)
    assert draws.std() == pytest.approx(three.std() / 3**0.5, rel=0.03)


def test_what_a_run_costs() -> None:
    setting = Setting()
    charges = run_charges(setting, 1000, 2)
    tokens = (10 + 6 * 52) * 16 * 32
    assert charges.train == 6 * 1000 * tokens
    assert charges.evaluate == 2 * 1000 * 32 * (6 * 96 + 512)
    assert charges.probe == 2 * 1000 * 32 * 6 * (3 * 64 + 2 * 128 + 3 * 128 / 4)
    assert charges.total == charges.train + charges.evaluate + charges.probe
    longer = replace(setting.episode, steps_per_interval=2 * 52, warmup_steps=2 * 10)
    target = run_charges(replace(setting, episode=longer), 2 * 1000, 2)
    assert target.train == 4 * charges.train
    assert target.overhead() == pytest.approx(charges.overhead(4))


def test_the_all_in_ratio_tends_to_the_speedup() -> None:
    assert all_in_ratio(3.0, 0.0, 0.0, 1, 1) == 3.0
    assert all_in_ratio(3.0, 0.5, 0.0, 1, 1) == 2.0
    assert all_in_ratio(3.0, 0.0, 100.0, 1, 50) == pytest.approx(1.0)  # learned for two targets' worth: break-even
    assert all_in_ratio(3.0, 0.0, 100.0, 10**6, 50) == pytest.approx(3.0, rel=1e-4)


@pytest.mark.filterwarnings("ignore:The main reference tasks are few")
def test_a_comparison_goes_on_where_it_was(tiny_corpus: Corpus, tiny_setting: Setting, tmp_path: Path) -> None:
    config = CompareConfig(
        ("uniform", "steady=constant:strength=0.3,influence=1", "both=uniform+constant:strength=0.3,influence=1"),
        tmp_path / "run",
        tiny_corpus.path,
        tiny_setting,
        scenarios=3,
        seeds=2,
        ladder=(2.0,),
        test_windows=16,
    )
    returned = main(config)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    table = results["policies"]
    assert returned["policies"]["steady"]["win_rate"] == table["steady"]["win_rate"]
    assert set(table) == {"natural", "uniform", "steady", "both"}
    assert (table["both"]["policies"], table["steady"]["policies"]) == (2, 1)
    mean_of_two = (table["uniform"]["test_loss_mean"] + table["steady"]["test_loss_mean"]) / 2
    assert table["both"]["test_loss_mean"] == pytest.approx(mean_of_two)
    mean, low, high = table["steady"]["gain_nats_and_ci95"]
    assert low <= mean <= high
    assert table["steady"]["over"]["uniform"][0] == pytest.approx(mean - table["uniform"]["gain_nats_and_ci95"][0])
    assert mean == pytest.approx(table["natural"]["test_loss_mean"] - table["steady"]["test_loss_mean"])
    assert len(table["steady"]["gain_by_scenario"]) == len(results["scenarios"]) == 3
    assert results["natural_ladder"][1][1] < results["natural_ladder"][0][1]  # more tokens, less loss
    assert table["uniform"]["all_in"].keys() == {"1", "10", "100", "1000", "10000"}
    assert len(results["runs"]) == 6
    page = (tmp_path / "run" / "report.html").read_text()
    assert "3 policies on 3 scenarios" in page
    assert "All-in ratio of" in page
    assert "mathdefault" not in page  # ticks are numbers, not the source of formulas
    with pytest.raises(InputError, match="add --resume"):
        main(config)
    stages = json.loads((tmp_path / "run" / "stages.json").read_text())
    del stages["scenario-1-1"]  # as where it was killed in that one
    (tmp_path / "run" / "stages.json").write_text(json.dumps(stages))
    assert main(replace(config, resume=True)) == returned
    assert json.loads((tmp_path / "run" / "results.json").read_text())["policies"] == table


@pytest.mark.filterwarnings("ignore:The main reference tasks are few")
def test_a_diverged_run_counts_as_a_nat_lost(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    task = Task(tiny_corpus, 16)

    def row(number: int, loss: float | None) -> dict[str, object]:
        runs = {"natural": 3.0, "uniform": loss}
        policies = {
            name: {"validation_loss_nats": value, "test_loss_nats": {"prose": value, "code": 9.0}}
            for name, value in runs.items()
        }
        scenario = {"reference": [["prose", 1.0]]}
        return {"number": number, "scenario": scenario, "policies": policies, "ladder": {}}

    compared = Compared(tiny_setting, task, [row(0, 2.5), row(1, None)], {"uniform": Uniform()})
    told = summarise(compared)["policies"]["uniform"]
    assert told["gain_nats_and_ci95"][0] == pytest.approx((0.5 - 1.0) / 2)
    assert told["win_rate"] == 0.5
    assert told["gain_by_task"] == {"prose": -0.25}


def of(number: int, natural: float | None, uniform: float | None, scales: dict[str, float | None]) -> dict[str, Any]:
    """A row of a comparison, with twice as many tokens on a rung as its scale says."""

    def run(loss: float | None, tokens: int = 100) -> dict[str, Any]:
        return {"validation_loss_nats": loss, "test_loss_nats": {"prose": loss, "code": 9.0}, "tokens": tokens}

    policies = {"natural": run(natural), "uniform": run(uniform)}
    ladder = {scale: run(loss, int(200 * float(scale))) for scale, loss in scales.items()}
    return {"number": number, "scenario": {"reference": [["prose", 1.0]]}, "policies": policies, "ladder": ladder}


def test_scenarios_in_which_natural_diverged_are_left_out_for_all() -> None:
    rows = [of(0, 3.0, 2.5, {"2": 2.0}), of(1, None, 2.0, {"2": 2.0}), of(2, 3.0, 2.0, {"2": None})]
    with pytest.warns(UserWarning, match=r"natural diverged in scenarios \[1, 2\]: they are left out for all"):
        assert where_natural_ended(rows) == rows[:1]
    with pytest.raises(InputError, match="natural diverged in every scenario"):
        where_natural_ended(rows[1:])


@pytest.mark.filterwarnings("ignore:The main reference tasks are few")
def test_a_rung_stands_where_its_tokens_are_and_bounds_are_told(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    def told(loss: float) -> dict[str, Any]:
        compared = Compared(tiny_setting, Task(tiny_corpus, 16), [of(0, 3.0, loss, {"2": 2.0})], {"uniform": Uniform()})
        found: dict[str, Any] = summarise(compared)["policies"]["uniform"]
        return found

    budget = tiny_setting.budget_tokens
    assert told(2.0)["speedup"] == pytest.approx(400 / budget)
    worse = told(3.5)
    assert worse["speedup_is_upper_bound"]
    assert str(fast_of(worse)).startswith("≤ ")


def test_a_run_that_diverges_ends_alone(
    tiny_corpus: Corpus, tiny_setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, train = Task(tiny_corpus, tiny_setting.context), ProxyStack.train
    scenario, seed = ScenarioDistribution("development").numbered(task, 0, 0)
    policies = {"lift": Lift(), "uniform": Uniform()}
    slot = ["natural", *policies].index("lift")
    intervals = iter(range(100))

    def fails(self: ProxyStack, ids: np.ndarray, active: np.ndarray) -> np.ndarray:
        loss = train(self, ids, active)
        return np.where(np.arange(len(loss)) == slot, np.nan, loss) if next(intervals) == 1 else loss  # 0: warm-up

    monkeypatch.setattr(ProxyStack, "train", fails)
    runs = side_by_side(tiny_setting, task, policies, scenario, seed, 8)
    assert runs["lift"]["validation_loss_nats"] is None
    for name in ("natural", "uniform"):
        assert runs[name]["validation_loss_nats"] > 0, name
        assert runs[name]["tokens"] == tiny_setting.budget_tokens, name
    assert runs["lift"]["tokens"] < tiny_setting.budget_tokens


def test_an_agent_that_is_left_out_is_no_copy_either(
    tiny_corpus: Corpus, tiny_setting: Setting, tmp_path: Path
) -> None:
    task = Task(tiny_corpus, tiny_setting.context)
    config = CompareConfig(("lift",), tmp_path, setting=tiny_setting, without=("influence",))
    copied = 0
    for number in range(200):
        whole, _ = ScenarioDistribution("development").numbered(task, 0, number)
        copied += any(other == "influence" for _, other in whole.copies)
        if not {*task.agent_names[1:]} - {*whole.absent, "influence"}:
            with pytest.raises(InputError, match="leaves no agent that takes weight"):
                _scenario(config, task, number)
            continue
        scenario, _ = _scenario(config, task, number)
        assert "influence" in scenario.absent
        assert all(other != "influence" for _, other in scenario.copies)
    assert copied > 0
    with pytest.raises(InputError, match="without nonsense, scenario 0: scenario names agent 'nonsense'"):
        _scenario(replace(config, without=("nonsense",)), task, 0)
