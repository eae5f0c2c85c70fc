"""The scripts beside the results, which build the corpora that the results are on: their commands parse and build."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import tyro

from pretraingym.experiments.benchmarks.corpus_slices import SlicesConfig
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.corpus_commands.build import BuildConfig, main
from pretraingym.lm.corpus.corpus import Corpus

ROOT = Path(__file__).parents[3]
CORPORA = ROOT / "experiments" / "results" / "corpora"
DATA = ROOT.parent / "shared"  # the text is no part of the project: where it is not, nothing is built
PAPER_TASKS = ("lambada", "squad", "jeopardy")
PRACTICE = "practice"  # it builds many corpora
TASKS = {"mini": 3, "full": 3, "ten-tasks": 10}


def scripted(name: str) -> BuildConfig:
    """What the one command of a script is parsed as."""
    script = (CORPORA / f"{name}.sh").read_text().replace("\\\n", "").replace("$DATA", str(DATA))
    words = shlex.split(script, comments=True)
    start = words.index("pretraingym")
    assert words[:start] == ["set", "-u"], f"{name}.sh does more than to run one command"
    _, config = parse(words[start + 1 :])
    assert isinstance(config, BuildConfig)
    return config


def test_every_script_is_known() -> None:
    assert {path.stem for path in CORPORA.glob("*.sh")} == {*TASKS, PRACTICE}


def test_the_script_of_practice_corpora_makes_slices_and_builds_a_corpus_of_each() -> None:
    script = (CORPORA / f"{PRACTICE}.sh").read_text().replace("\\\n", "")
    script = script.replace('"$(basename "$slice" .parquet)"', "name").replace("${SEED:-0}", "1")
    words = shlex.split(script, comments=True)
    slices = words[words.index("python") + 3 : words.index("for")]
    assert tyro.cli(SlicesConfig, args=slices) == SlicesConfig(Path("$DATA"), Path("runs/slices"), 1)
    _, config = parse(words[words.index("pretraingym") + 1 : words.index("done")])
    assert isinstance(config, BuildConfig)
    assert (config.practice, config.hold_out, config.columns.group) == (8, 0.03, "source")


@pytest.mark.parametrize("name", TASKS)
def test_a_script_is_one_command_that_parses(name: str) -> None:
    config = scripted(name)
    assert config.tasks[:3] == PAPER_TASKS
    assert len(config.tasks) == TASKS[name]
    assert config.reference_text == {
        "squad": "{context}\n{question} {answers.text.0}",
        "jeopardy": "{context} {continuation}",
    }


def test_only_ten_tasks_are_split_by_source() -> None:
    assert scripted("mini").reference_group == scripted("full").reference_group == {}
    config = scripted("ten-tasks")
    domains = dict.fromkeys(config.tasks[3:], "source")
    assert config.reference_group == {"squad": "title"} | domains


def test_the_commands_of_the_data_card_are_true() -> None:
    lines = re.findall(r"```sh\n(.*?)```", (CORPORA / "README.md").read_text(), re.DOTALL)
    commands = [shlex.split(line, comments=True) for line in "".join(lines).splitlines()]
    scripts = [words[-1] for words in commands if words[0] == "DATA=data"]
    assert sorted(scripts) == sorted(f"experiments/results/corpora/{name}.sh" for name in [*TASKS, PRACTICE])
    for words in commands:
        if words[0] == "pretraingym":
            parse(words[1:])


@pytest.mark.skipif(not (DATA / "corpus").is_dir(), reason="the text of the results is not beside the project")
@pytest.mark.filterwarnings("ignore:.* of the training tokens", "ignore:.* has a standard error of")
@pytest.mark.parametrize("name", ["full", "ten-tasks"])
def test_a_script_builds_its_corpus(name: str, tmp_path: Path) -> None:
    main(replace(scripted(name), corpus=tmp_path / "c", max_documents=200, agents=("match-jeopardy",)))
    corpus = Corpus.open(tmp_path / "c")
    assert corpus.reference_tasks[:3] == PAPER_TASKS
    assert len(corpus.reference_tasks) == TASKS[name]
    assert 150 < len(corpus.splits["train"]) <= 200  # some share a paragraph with reference text
    questions = [corpus.text(d) for d in corpus.splits["squad/validation"]]
    assert all("\n" in text for text in questions[:50])
    assert len(corpus.splits["lambada/validation"]) == 644
