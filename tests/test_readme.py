"""The README is true: its example runs, its commands parse, its make targets and files exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pretraingym.env import check_agent
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.__main__ import parse
from pretraingym.lm.corpus.corpus import Corpus

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_gymnasium_loop_runs(
    tiny_corpus: Corpus, tiny_setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    (_, _, example) = blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    given = "num_envs=4, corpus=corpus, setting=setting"  # on a tiny corpus and model instead of the default ones
    exec(example.replace("num_envs=4", given), {"corpus": tiny_corpus.path, "setting": tiny_setting})
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_the_dataset_mixes(tiny_corpus: Corpus) -> None:
    (example, _, _) = blocks("python")
    names: dict[str, Any] = {"corpus": tiny_corpus.path}
    exec(example, names)
    changed = names["dataset"].weights_at(7)
    assert changed[0] == 1.0 > names["dataset"].weights_at(0)[0]
    assert names["batch"]["input_ids"].shape == (8, 64)
    assert names["saved"]["begun"] == 21 * 8


def test_the_agent_is_one(tiny_corpus: Corpus) -> None:
    (_, agent, _) = blocks("python")
    names: dict[str, Any] = {}
    exec(agent, names)
    check_agent(names["ShortnessAgent"](), tiny_corpus)


def shell_lines() -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line] + re.findall(r"`(make \w+[^`]*)`", README)


@pytest.mark.parametrize("line", sorted(set(shell_lines())))
def test_commands_are_known(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        words = ["pretraingym", "quickstart", *shlex.split(words[2].removeprefix("ARGS="))] if words[2:] else []
    if words and words[0].endswith("torchrun"):
        words = words[words.index("pretraingym.experiments") :]
    if words:
        with pytest.raises(SystemExit) as end:
            parse([*words[1:], "--help"])
        assert end.value.code == 0


def test_files_that_it_names_exist() -> None:
    named = re.findall(r"`((?:env|lm|policies|experiments|tests)/[\w/.]*)`", README)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 185
