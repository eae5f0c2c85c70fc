"""pretraingym compare: paired runs, resumed exactly, and names of policies."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pretraingym.env.scenarios.distribution import ScenarioDistribution
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.analysis.scenario_table import FLOPS_RATIOS
from pretraingym.experiments.commands.compare import CompareConfig, _scenario, main
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError


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
    assert set(table) == {"natural", "natural, another seed", "uniform", "steady", "both"}
    assert returned["policies"]["steady"]["harm"] == table["steady"]["harm"]
    assert table["steady"]["harm"]["scenarios"] == config.scenarios
    assert table["natural, another seed"]["gain_nats"] != 0
    assert (table["both"]["policies"], table["steady"]["policies"]) == (2, 1)
    mean_of_two = (table["uniform"]["test_loss_mean"] + table["steady"]["test_loss_mean"]) / 2
    assert table["both"]["test_loss_mean"] == pytest.approx(mean_of_two)
    gain, (low, high) = table["steady"]["gain_nats"], table["steady"]["gain_ci95"]
    assert low <= gain <= high
    assert table["steady"]["over"]["uniform"]["nats"] == pytest.approx(gain - table["uniform"]["gain_nats"])
    assert gain == pytest.approx(table["natural"]["test_loss_mean"] - table["steady"]["test_loss_mean"])
    assert len(table["steady"]["gain_by_scenario"]) == len(results["scenarios"]) == config.scenarios
    (tokens, loss), (more_tokens, lower_loss) = results["natural_ladder"]
    assert more_tokens > tokens
    assert lower_loss < loss
    assert list(table["uniform"]["all_in"]) == list(map(str, FLOPS_RATIOS))
    assert len(results["runs"]) == config.scenarios * config.seeds
    page = (tmp_path / "run" / "report.html").read_text()
    assert "3 policies on 3 scenarios" in page
    assert "All-in ratio of" in page
    assert "Natural, another seed: natural once more on the same pools" in page
    assert "mathdefault" not in page  # ticks are numbers, not the source of formulas
    with pytest.raises(InputError, match="add --resume"):
        main(config)
    stages = json.loads((tmp_path / "run" / "stages.json").read_text())
    del stages["scenario-1-1"]  # as where it was killed in that one
    (tmp_path / "run" / "stages.json").write_text(json.dumps(stages))
    assert main(replace(config, resume=True)) == returned
    assert json.loads((tmp_path / "run" / "results.json").read_text())["policies"] == table


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


def test_the_loss_that_steers_is_that_of_the_validation_part() -> None:
    with pytest.raises(InputError, match="loss_part is trial, expected validation"):
        CompareConfig(distribution=ScenarioDistribution("development", loss_part="trial"))


def test_the_name_of_natural_from_another_seed_is_taken() -> None:
    with pytest.raises(InputError, match="expected different names, none of them natural or natural, another seed"):
        CompareConfig(("runs/natural, another seed",))
