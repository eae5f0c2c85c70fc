"""Lines that no recorder wrote are refused, each in one line of text that says where and what."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretraingym.env.gym_envs.surrogate_envs import SurrogateVectorEnv
from pretraingym.env.recording.config_record import content_hash
from pretraingym.env.recording.record_file import read_records
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.settings.setting import Setting
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.io.typed_json import from_json, to_json
from pretraingym.lm.models.optimizer_config import OptimizerConfig

Json = dict[str, Any]


@pytest.fixture(scope="module")
def recorded(tiny_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of a config, an episode and its control."""
    file = tmp_path_factory.mktemp("records") / "episodes.jsonl"
    env = SurrogateVectorEnv(num_envs=1, corpus=tiny_corpus.path, setting=SurrogateSetting(), records=file)
    env.reset(seed=0)
    for _ in range(env.horizon):
        env.step(np.zeros(env.action_space.shape))
    return file.read_text().splitlines()


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[list[str]], str]:
    def refusal(lines: list[str]) -> str:
        file = tmp_path / "hostile.jsonl"
        file.write_text("\n".join(lines) + "\n")
        with pytest.raises(InputError) as error:
            read_records(file)
        message = str(error.value)
        assert "\n" not in message
        assert len(message) < 600
        return message.removeprefix(f"{file} ")

    return refusal


def put(path: str, value: Any) -> Callable[[Json], None]:
    """Sets what `path` (keys and places, by dots) leads to."""

    def change(line: Json) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        target: Any = line
        for step in way:
            target = target[step]
        target[last] = value

    return change


def filled(message: str, config: Json) -> str:
    """With the sizes of the recorded environment in place of the words in capitals."""
    intervals = config["setting"]["episode"]["num_intervals"]
    sizes = {
        "AGENTS": len(config["agents"]),
        "TASKS": len(config["tasks"]),
        "DOMAINS": len(config["columns"]["domain"]),
        "INTERVALS": intervals,
        "FEWER": intervals - 1,
        "LOSSES": intervals + 1,
    }
    for word, size in sizes.items():
        message = message.replace(word, str(size))
    return message


EPISODES: list[tuple[Callable[[Json], Any], str]] = [
    (put("kind", "policy"), "is of kind 'policy', expected 'config' or 'episode'"),
    (put("kind", ["episode"]), "is of kind ['episode']"),
    (put("code", "import os"), "has the unknown key 'code'"),
    (lambda line: line.pop("seed"), "lacks the key 'seed'"),
    (put("config", "0" * 64), "names a config that no line before it holds"),
    (put("config", None), "config is None, expected text"),
    (put("seed", -1), "seed is -1, expected a whole number from 0 up"),
    (put("seed", 2**63), "seed is 9223372036854775808, expected a whole number of at most 64 bits"),
    (put("seed", 1.0), "seed is 1.0, expected a whole number"),
    (put("control", 0), "control is 0, expected true or false"),
    (put("control", True), "expected null for a control and actions for all others"),
    (put("actions", None), "expected null for a control and actions for all others"),
    (put("actions.2", [0.0]), "actions[2] is [0.0], expected a list of AGENTS"),
    (put("actions.2.3", None), "actions[2][3] is None, expected a finite number"),
    (
        lambda line: line["weights"].pop(),
        "weights is of FEWER intervals, expected INTERVALS, or fewer if it diverged",
    ),
    (put("weights.1.0", 0.9), "are not a simplex"),
    (put("weights.1.0", "0.1"), "weights[1][0] is '0.1', expected a finite number"),
    (put("weights.1", {}), "weights[1] is {}, expected a list of AGENTS"),
    (put("loss", [3.0]), "loss is [3.0], expected a list of LOSSES"),
    (put("loss.1", True), "loss[1] is True, expected a finite number"),
    (put("by_task.0", [1.0]), "by_task[0] is [1.0], expected a list of TASKS"),
    (put("train_loss.0", [1.0]), "train_loss[0] is [1.0], expected a finite number"),
    (put("tokens.3", -5), "tokens[3] is -5"),
    (put("tokens.3", 5), "tokens falls"),
    (put("tokens", []), "tokens is [], expected a list of LOSSES"),
    (lambda line: line["drawn"].pop("topic"), "drawn lacks the key 'topic'"),
    (put("drawn.domain.1", None), "drawn.domain[1] is None, expected a list of DOMAINS"),
    (put("drawn.domain.1.0", None), "drawn.domain[1][0] is None, expected a finite number"),
    (put("scenario", {"reference": []}), "scenario lacks the key 'pool_budgets'"),
    (put("scenario.pool_budgets", -1.0), "scenario pool_budgets is -1.0, expected a positive number"),
    (put("scenario.reference", [["code", 1.0, 2]]), "reference[0] is ['code', 1.0, 2], expected a list of 2"),
    (put("wall_s", "long"), "wall_s is 'long', expected a finite number"),
    (put("time", "yesterday"), "time is 'yesterday', expected ISO 8601"),
    (put("time", "2026-01-01T00:00:00"), "expected ISO 8601 with its offset"),
]


@pytest.mark.parametrize(("change", "message"), EPISODES, ids=[message for _, message in EPISODES])
def test_hostile_episodes(
    recorded: list[str], refusal: Callable[[list[str]], str], change: Callable[[Json], Any], message: str
) -> None:
    config, line = json.loads(recorded[0]), json.loads(recorded[1])
    change(line)
    said = refusal([recorded[0], recorded[2], json.dumps(line)])
    assert said.startswith("line 3")
    assert filled(message, config) in said


CONFIGS: list[tuple[Callable[[Json], Any], str]] = [
    (put("setting.type", "Popen"), "setting.type is 'Popen', expected 'Setting' or 'SurrogateSetting' or 'ToySetting'"),
    (put("setting", []), "setting is [], expected an object"),
    (put("setting.model", "/tmp"), "setting has the unknown key 'model'"),
    (put("setting.episode.num_intervals", 0), "smaller than one interval"),
    (put("setting.episode.console.mode", "eval"), "console mode is 'eval'"),
    (put("setting.twist", None), "setting.twist is None, expected a finite number"),
    (put("corpus", "somewhere"), "corpus is 'somewhere', expected an object"),
    (put("agents.0", 5), "agents[0] is 5, expected text"),
    (put("columns.domain", "prose"), "columns.domain is 'prose', expected a list"),
    (put("versions", {"torch": 2}), "versions.torch is 2, expected text"),
]


@pytest.mark.parametrize(("change", "message"), CONFIGS, ids=[message for _, message in CONFIGS])
def test_hostile_configs(
    recorded: list[str], refusal: Callable[[list[str]], str], change: Callable[[Json], Any], message: str
) -> None:
    """With the right hash, as from someone who wrote the whole line."""
    line = json.loads(recorded[0])
    change(line)
    line["hash"] = content_hash({key: value for key, value in line.items() if key not in ("kind", "hash")})
    assert message in refusal([json.dumps(line)])


def test_a_config_that_was_changed_is_found(recorded: list[str], refusal: Callable[[list[str]], str]) -> None:
    assert "does not have the hash that it names" in refusal([recorded[0].replace('"twist": 0.5', '"twist": 0.25')])
    line = json.loads(recorded[0]) | {"hash": {}}
    assert "hash is {}, expected text" in refusal([json.dumps(line)])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "is of kind None"),
        ("[1]", "is of kind None"),
        ("", "is not valid JSON"),
        ("\x00\x01", "is not valid JSON"),
        ('{"kind": "config", "kind": "episode"}', "a key appears twice"),
        ('{"kind": NaN}', "NaN is not a number JSON allows"),
        ("[" * 200_000, "is not valid JSON"),
        ("9" * 5000, "is not valid JSON"),
        ('{"kind": "config", "hash": {}}', "lacks the key 'setting'"),
    ],
)
def test_what_is_no_record(refusal: Callable[[list[str]], str], line: str, message: str) -> None:
    assert message in refusal([line])


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file: give a run's"):
        read_records(tmp_path)


def test_whole_settings_and_scenarios_come_back_exactly() -> None:
    settings = [
        Setting(model=Path("some/folder"), agents=("null", "quality:moves=true")),
        Setting(optimizer=OptimizerConfig(muon_lr=0.1 + 0.2, adam_betas=(0.5, 1 / 3))),
    ]
    for setting in settings:
        assert from_json(Setting, json.loads(json.dumps(to_json(setting))), "s") == setting
    surrogate = SurrogateSetting(twist=2 / 3)
    assert from_json(SurrogateSetting, json.loads(json.dumps(to_json(surrogate))), "s") == surrogate
    scenario = Scenario((("code", 1 / 3), ("prose", 2 / 3)), np.nextafter(3.0, 4.0))
    assert Scenario.from_json(json.loads(json.dumps(scenario.as_json()))) == scenario


def test_an_episode_of_version_0_3_is_read(recorded: list[str], tmp_path: Path) -> None:
    """Its scenario has none of the fields that came later."""
    config, line = recorded[0], json.loads(recorded[1])
    for name in ("null", "reference_documents", "loss_part"):
        del line["scenario"][name]
    (tmp_path / "episodes.jsonl").write_text(f"{config}\n{json.dumps(line)}\n")
    (episode,) = read_records(tmp_path / "episodes.jsonl")[1]
    assert episode.scenario.reference_documents is None
    assert (episode.scenario.null, episode.scenario.loss_part) == ("", "validation")
    assert Scenario.from_json(line["scenario"]) == episode.scenario
