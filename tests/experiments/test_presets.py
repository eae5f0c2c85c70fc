"""Presets: each is what its command starts from, fits a model together, and says its true size."""

import dataclasses

import pytest

from pretraingym.experiments.__main__ import parse
from pretraingym.experiments.presets import PRESETS
from pretraingym.experiments.pretrain import PretrainConfig
from pretraingym.experiments.train_console import LearnConfig, TrainConsoleConfig
from pretraingym.lm.errors import InputError
from pretraingym.lm.models import new_model

COMMANDS = {TrainConsoleConfig: ["train-console"], PretrainConfig: ["pretrain", "--policy", "natural"]}
MILLIONS = {"quick": 0.64, "5m": 5.0}


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
    params = sum(parameter.numel() for parameter in new_model(setting.model_config(512), 0).parameters())
    assert params / 1e6 == pytest.approx(MILLIONS[name], rel=0.05)


def test_flags_change_fields_of_the_preset() -> None:
    _, config = parse(["pretrain", "--policy", "natural", "--preset", "5m", "--target.num-layers", "7"])
    assert (config.target.num_layers, config.target.width) == (7, 256)


def test_an_unknown_preset_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        parse(["pretrain", "--policy", "natural", "--preset", "6m"])
    assert error.value.code == 2
    assert "'quick', '5m'" in capsys.readouterr().err


@pytest.mark.parametrize("start", ["uniform", "paper-rule:eta=1"])
def test_learning_starts_from_what_can_be_cloned(start: str) -> None:
    for known in ("agreement:strength=0.1", "ten-tasks"):
        assert LearnConfig(start=known).start == known
    with pytest.raises(InputError, match=f"start is '{start.split(':')[0]}', expected agreement, lift or a policy"):
        LearnConfig(start=start)
