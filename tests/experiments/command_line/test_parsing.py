"""Any word or flag that is not known gets one line, with the nearest one that is."""

from importlib.metadata import version

import pytest

from pretraingym.experiments.command_line.flags import flags
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.command_line.table import COMMANDS
from pretraingym.lm.io.errors import InputError

NEEDED = {  # without which a command says so first
    "pretrain": "--policy lift",
    "replay": "file",
    "evaluate": "model --benchmarks folder",
    "corpus build": "--corpus mine",
    "corpus label": "--corpus mine",
    "corpus card": "--corpus mine",
    "fit": "mixtures.csv losses.csv",
    "surrogate fit": "run",
}


def refusal(*words: str) -> str:
    with pytest.raises(InputError) as refused:
        parse(words)
    line = str(refused.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_with_a_typo(name: str) -> None:
    known = " ".join(name.split()[:-1])
    typo = f"{known} {name.split()[-1][:-1]}".strip()
    assert refusal(*typo.split()).startswith(f"unknown command '{typo}'; did you mean '{name}'? known: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_with_a_flag_misspelled(name: str) -> None:
    known = [flag for flag, _ in flags(COMMANDS[name].load()[0])]
    for flag in {known[0], known[len(known) // 2], known[-1]}:
        line = refusal(*name.split(), f"{flag}x", "1")
        assert line.startswith(f"unknown flag {flag}x of {name}; did you mean '{flag}'"), line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_with_a_value_of_another_kind(name: str) -> None:
    kinds = {int: "a whole number", float: "a number"}
    words = [*name.split(), *NEEDED.get(name, "").split()]
    numbers = [(flag, hint) for flag, hint in flags(COMMANDS[name].load()[0]) if hint in kinds]
    for flag, hint in numbers[:1] + numbers[-1:]:
        assert f"{flag} is 'many', expected {kinds[hint]};" in refusal(*words, flag, "many")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "no command was given, expected one of quickstart, train-console, "),
        ("corpus", "corpus was given alone, expected what to do: corpus build or "),
        ("surrogate --folder x", "surrogate was given alone, expected what to do: surrogate fit"),
        ("--corpus x pretrain", "--corpus was given before any command; expected pretraingym COMMAND --corpus ..."),
        ("--verison", "--verison was given before any command; did you mean '--version'?"),
        ("PRETRAIN", "unknown command 'PRETRAIN'; did you mean 'pretrain'? known: quickstart, "),
        ("pretrain", "pretrain needs --policy; pretraingym pretrain --help tells all"),
        ("evaluate", "evaluate needs MODEL and --benchmarks; "),
        ("pretrain extra --policy lift", "pretrain cannot use the word 'extra': a value stands behind its flag; "),
        ("pretrain --policy", "--policy has no value, expected a text; "),
        ("pretrain --policy lift --keep=many", "--keep is 'many', expected a whole number; "),
        ("pretrain --preset 35m", "unknown preset '35m' of pretrain; did you mean '350m'? known: "),
        ("corpus build --preset slimpajam", "unknown preset 'slimpajam' of corpus build; did you mean 'slimpajama'? "),
        ("corpus build --corpus x --source fils", "--source is 'fils', expected one of files, dataset, "),
        ("corpus build --corpus x --max-documents 1.5", "--max-documents is '1.5', expected a whole number or None; "),
        ("corpus build --corpus x --cuts a", "--cuts is 'a', expected pairs of a name and a text, "),
        ("train-console --learn.algorithm pppo", "unknown learner 'pppo'; did you mean 'ppo'? "),
        ("completion csh", "completion was given for 'csh', expected one of bash, zsh, fish"),
        ("completion", "completion was given without a shell, expected one of bash, zsh, fish"),
    ],
)
def test_what_cannot_be_used_is_one_line(words: str, line: str) -> None:
    assert refusal(*words.split()).startswith(line)


def test_underscores_are_hyphens() -> None:
    _, config = parse(["train_console", "--learn.group_size", "8"])
    assert config.learn.group_size == 8


def test_a_preset_changes_the_start_and_a_flag_one_field() -> None:
    _, config = parse(["pretrain", "--policy", "lift", "--preset", "5m", "--keep", "3"])
    assert (config.preset, config.target.width, config.keep) == ("5m", 256, 3)


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_tells_what_each_command_does(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(words)
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert [line.split("  ")[1] for line in out.splitlines() if line[:2] == "  " and line[2:3] != " "] == list(COMMANDS)


def test_a_groups_help_has_its_commands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["corpus", "--help"])
    out = capsys.readouterr().out
    assert "corpus label" in out
    assert "quickstart" not in out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"pretraingym {version('pretraingym')}\n")
