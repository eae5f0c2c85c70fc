"""Presets: each is what its command starts from, fits a model together, and says its true size."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.commands.presets import PRESETS
from pretraingym.experiments.commands.pretrain import PretrainConfig, main
from pretraingym.experiments.commands.train_console import LearnConfig, TrainConsoleConfig
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import llama, new_model, num_parameters
from pretraingym.lm.models.flops import TrainingCost

LARGE = {"125m": 135, "350m": 369, "760m": 780, "1b3": 1343}
COMMANDS = {TrainConsoleConfig: ["train-console"], PretrainConfig: ["pretrain", "--policy", "natural"]}
MILLIONS = {"quick": (512, 0.64), "5m": (512, 5.0)}  # with that vocabulary
MILLIONS |= {name: (32_768, millions) for name, millions in LARGE.items()}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, presets in PRESETS.items() for name in presets])
def test_a_preset_is_where_its_command_starts(kind: type, name: str) -> None:
    whole = PRESETS[kind][name]()
    assert whole.preset == name  # type: ignore[attr-defined]
    _, config = parse([*COMMANDS[kind], "--preset", name])
    for field in dataclasses.fields(whole):  # type: ignore[arg-type]
        if field.name != "policy":
            assert getattr(config, field.name) == getattr(whole, field.name)


@pytest.mark.parametrize("name", PRESETS[PretrainConfig])
def test_targets_have_the_size_they_say(name: str) -> None:
    setting = PRESETS[PretrainConfig][name]().target  # type: ignore[attr-defined]
    vocabulary, millions = MILLIONS[name]
    assert num_parameters(setting.model_config(vocabulary)) / 1e6 == pytest.approx(millions, rel=0.05)


@pytest.mark.parametrize(("name", "millions"), LARGE.items())
def test_large_presets_are_planned_dry(
    name: str, millions: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, config = parse(["pretrain", "--policy", "ten-tasks", "--preset", name, "--dry-run", "--gpus", "8"])
    told = run(config)
    assert told["tokens"] == pytest.approx(20 * told["params"], rel=0.05)
    assert told["tokens_per_step"] == 524_288
    ideal = 6 * told["params"] * told["tokens"]
    assert ideal * 0.75 < told["train_flops"] < ideal * 1.3
    assert told["console_share"] < 0.01
    assert told["hours"]["h100"] == pytest.approx(told["train_flops"] / (8 * 989e12 * 0.45) / 3600, rel=0.01)
    assert not list(tmp_path.iterdir())


def test_a_plan_says_where_memory_runs_out(tiny_corpus: Corpus) -> None:
    config = replace(PRESETS[PretrainConfig]["1b3"](), policy="lift", corpus=tiny_corpus.path, dry_run=True)  # type: ignore[type-var]
    alone, eight = main(replace(config, gpus=1)), main(replace(config, gpus=8))
    assert alone["vocabulary"] == tiny_corpus.vocab_size
    assert alone["memory_gib_per_rank"] > 2 * eight["memory_gib_per_rank"]
    larger = replace(config.target, num_layers=96)
    assert main(replace(config, target=larger))["hours"]["h100"].startswith("needs ")
    with pytest.raises(InputError, match="gpus is 0, expected at least 1"):
        replace(config, gpus=0)


def test_costs_are_those_of_the_model() -> None:
    """Against torch's own count of a step's matrix products."""
    config, tokens = llama(320, 64, 2, 64), torch.zeros(2, 64, dtype=torch.int64)
    config._attn_implementation = "eager"
    model = new_model(config, 0)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=tokens, labels=tokens).loss.backward()
    cost = TrainingCost.of(config, 64)
    unmasked = 6 * 2 * 64 * 64 * tokens.numel()  # torch counts the masked half of the scores, too
    assert cost.flops_per_token * tokens.numel() + unmasked == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_flags_change_fields_of_the_preset() -> None:
    _, config = parse(["pretrain", "--policy", "natural", "--preset", "5m", "--target.num-layers", "7"])
    assert (config.target.num_layers, config.target.width) == (7, 256)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(InputError, match="unknown preset '6m' of pretrain; did you mean '760m'. known: 125m, 1b3"):
        parse(["pretrain", "--policy", "natural", "--preset", "6m"])


@pytest.mark.parametrize("start", ["uniform", "paper-rule:eta=1"])
def test_learning_starts_from_what_can_be_cloned(start: str) -> None:
    for known in ("agreement:strength=0.1", "ten-tasks"):
        assert LearnConfig(start=known).start == known
    with pytest.raises(InputError, match=f"start is '{start.split(':')[0]}', expected agreement, lift or a policy"):
        LearnConfig(start=start)


def test_learners_that_start_from_nothing_take_no_policy() -> None:
    assert LearnConfig(algorithm="regmix").start == "lift"
    with pytest.raises(InputError, match="start is 'ten-tasks', but regmix starts from nothing: leave it out"):
        LearnConfig(algorithm="regmix", start="ten-tasks")
    with pytest.raises(InputError, match="start is 'agreement:strength=0.1', but schedule starts from nothing"):
        LearnConfig(algorithm="schedule", start="agreement:strength=0.1")
