"""The README is true: examples run, commands parse, files, links and imports exist, a decision goes the way it says."""

import importlib
import importlib.util
import re
import shlex
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from pretraingym.env import check_agent
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.lm.corpus.corpus import Corpus

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_gymnasium_loop_runs(
    tiny_corpus: Corpus, tiny_setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    (example, _, _) = blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    given = "num_envs=4, corpus=corpus, setting=setting"  # on a tiny corpus and model instead of the default ones
    clock = replace(tiny_setting.episode, num_intervals=Setting().episode.num_intervals)
    setting = replace(tiny_setting, episode=clock)
    exec(example.replace("num_envs=4", given), {"corpus": tiny_corpus.path, "setting": setting})
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_the_dataset_mixes(tiny_corpus: Corpus) -> None:
    (_, _, example) = blocks("python")
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


def test_pages_that_it_links_to_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_imports_that_it_lists_work() -> None:
    names = set(re.findall(r"`(pretraingym(?:\.\w+)+)`", README)) - {"pretraingym.agents"}  # the entry-point group
    assert len(names) > 8
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute) or importlib.util.find_spec(name), name


def spine() -> list[tuple[str, str]]:
    """(function, file) of each step of a decision, as the README has them."""
    return re.findall(r"^\d+\. `([\w.]+)` in `([\w/.]+)`", README, re.MULTILINE)


def test_a_decision_goes_the_way_it_says(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    """The functions named exist in the files named, and one step of the environment calls them in that order."""
    env: Any = gym.make_vec(
        "pretraingym.env:PretrainGym/Console-v2", num_envs=2, corpus=tiny_corpus.path, setting=tiny_setting
    )
    env.reset(seed=0)
    wanted = {(name, str((ROOT / file).resolve())) for name, file in spine()}
    called: list[str] = []

    def note(frame: FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        known = (code.co_qualname, str(Path(code.co_filename).resolve())) in wanted
        if event == "call" and known and code.co_qualname not in called:
            called.append(code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        env.step(np.zeros(env.action_space.shape, np.float32))
    finally:
        sys.setprofile(before)
    assert called == [name for name, _ in spine()]
    assert {file for _, file in spine()} == {"env/episode.py", "env/console/console.py", "lm/proxies/stack.py"}


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {project['version']}\n" in citation
    assert f"## {project['version']}," in (ROOT / "CHANGELOG.md").read_text()


PAGES = ["CONTRIBUTING.md", "CHANGELOG.md", "experiments/RESULTS.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "experiments/results").glob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_files_that_other_pages_name_exist(page: str) -> None:
    named = re.findall(r"`((?:env|lm|policies|experiments|tests)/[\w/.]*)`", (ROOT / page).read_text())
    gone = {"env/recipe.py"}
    assert [name for name in named if name not in gone and not (ROOT / name).exists()] == []
