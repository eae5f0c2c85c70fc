"""Recorded episodes come out the same when they are run again, and a record that was changed is found."""

import json
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.recording.config_record import content_hash
from pretraingym.env.scenarios.distribution import PLAIN, ScenarioDistribution
from pretraingym.env.settings.setting import Setting
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.experiments import __main__ as command_line
from pretraingym.experiments.commands.replay import ReplayConfig, main
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.ingest.synthetic import build_synthetic
from pretraingym.lm.io.errors import InputError

Json = dict[str, Any]


def record(file: Path, corpus: Corpus, setting: Any, num_envs: int = 4) -> None:
    """An episode of every slot, and the controls'."""
    env = ConsoleVectorEnv(
        num_envs,
        corpus=corpus.path,
        setting=setting,
        group_size=2,
        distribution=ScenarioDistribution(vary=PLAIN),
        records=file,
    )
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(env.horizon):
        env.step(rng.uniform(-1, 1, env.action_space.shape))


@pytest.fixture
def surrogate(tmp_path: Path, tiny_corpus: Corpus) -> Path:
    """A config line, four episodes and two controls."""
    clock = EpisodeConfig(num_intervals=3, steps_per_interval=4, batch_windows=8, warmup_steps=2, probe_windows=24)
    record(tmp_path / "episodes.jsonl", tiny_corpus, SurrogateSetting(episode=clock))
    return tmp_path / "episodes.jsonl"


def change(file: Path, place: int, how: Callable[[Json], object]) -> None:
    lines = file.read_text().splitlines()
    line = json.loads(lines[place])
    how(line)
    lines[place] = json.dumps(line)
    file.write_text("\n".join(lines) + "\n")


def test_proxies_and_surrogates_round_trip(
    tmp_path: Path, surrogate: Path, tiny_corpus: Corpus, tiny_setting: Setting
) -> None:
    record(surrogate, tiny_corpus, tiny_setting)  # two configs in one file
    counts = {"episodes": 12, "replayed": 12}
    assert main(ReplayConfig(surrogate, tolerance=0.0)) == counts | {"largest_difference_nats": 0.0, "mismatches": 0}
    assert main(ReplayConfig(surrogate, count=2))["replayed"] == 2


SMALL_NATS = 2e-6
LAST = -1  # the last interval; losses and tokens have one more in front, the warm-up


def raise_last_loss(line: Json) -> None:
    line["loss"][LAST] += SMALL_NATS


def call_it_a_policy_s_run(line: Json) -> None:
    """As if the control had been driven, with actions of zero."""
    line["control"], line["actions"] = False, np.zeros_like(line["weights"]).tolist()


def spread_weights(line: Json) -> None:
    """Half of the second interval's weight goes from the first agent to the second."""
    weights = np.zeros(len(line["weights"][1]))
    weights[:2] = 0.5
    line["weights"][1] = weights.tolist()


# (line of the file, of which line 0 is the config and the last two are controls; how it is changed; what then differs)
CHANGES: list[tuple[int, Callable[[Json], object], str]] = [
    (1, raise_last_loss, "loss"),
    (2, lambda line: line["loss"].__setitem__(0, None), "loss"),
    (1, lambda line: line["by_task"][1].__setitem__(1, 9.0), "loss by task"),
    (1, lambda line: line["train_loss"].__setitem__(1, 9.0), "training loss"),
    (3, lambda line: line["actions"][0].__setitem__(0, 0.123), "weights and actions"),
    (3, lambda line: line["tokens"].__setitem__(LAST, line["tokens"][LAST] + 1), "tokens"),
    (4, lambda line: line.update(seed=line["seed"] ^ 1), "loss"),
    (4, lambda line: line["scenario"].update(pool_budgets=1.5), "mixture"),
    (5, call_it_a_policy_s_run, "weights and actions"),
    (5, spread_weights, "weights and actions"),
    (6, lambda line: line["drawn"]["domain"][2].reverse(), "mixture"),
    (6, lambda line: line.update(diverged=True), "whether it diverged"),
    (6, lambda line: cut_short(line), "where it diverged"),
]


def cut_short(line: Json) -> None:
    """As if it had diverged in its second interval."""
    line["diverged"] = True
    for name in ("weights", "loss", "by_task", "train_loss", "tokens"):
        line[name].pop()
    for shares in line["drawn"].values():
        shares.pop()


@pytest.mark.parametrize(("place", "how", "what"), CHANGES)
def test_a_changed_record_is_found(
    surrogate: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    place: int,
    how: Callable[[Json], object],
    what: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    change(surrogate, place, how)
    result = main(ReplayConfig(surrogate))
    assert (result["replayed"], result["mismatches"]) == (6, 1)
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("│"))
    assert row.split("│")[1].strip() == str(place)
    assert what in row.split("│")[6]


def test_a_tolerance_lets_small_differences_pass(surrogate: Path) -> None:
    change(surrogate, 1, raise_last_loss)
    result = main(ReplayConfig(surrogate, tolerance=1e-5))
    assert result["mismatches"] == 0
    assert result["largest_difference_nats"] == pytest.approx(SMALL_NATS)


def change_config(file: Path, how: Callable[[Json], object]) -> None:
    """With all hashes made to fit."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    how(lines[0])
    lines[0]["hash"] = content_hash({key: value for key, value in lines[0].items() if key not in ("kind", "hash")})
    for line in lines[1:]:
        line["config"] = lines[0]["hash"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_other_versions_warn(surrogate: Path) -> None:
    change_config(surrogate, lambda config: config["versions"].update(numpy="1.0"))
    with pytest.warns(UserWarning, match=r"versions differ, and with them perhaps the last digits: numpy 1.0 there"):
        assert main(ReplayConfig(surrogate, count=1))["mismatches"] == 0


def test_the_corpus_may_have_moved_but_not_changed(surrogate: Path, tiny_corpus: Corpus, tmp_path: Path) -> None:
    shutil.copytree(tiny_corpus.path, tmp_path / "copy")
    change_config(surrogate, lambda config: config["corpus"].update(path="/nowhere/corpus"))
    with pytest.raises(InputError, match="no longer at /nowhere/corpus: name a copy of it with --corpus"):
        main(ReplayConfig(surrogate))
    assert main(ReplayConfig(surrogate, corpus=tmp_path / "copy"))["mismatches"] == 0
    build_synthetic(tmp_path / "another", seed=1)
    with pytest.raises(InputError, match="has fingerprint .* the records are of"):
        main(ReplayConfig(surrogate, corpus=tmp_path / "another"))
    change_config(surrogate, lambda config: config["columns"]["domain"].reverse())
    with pytest.raises(InputError, match=r"the records have columns .* here they are"):
        main(ReplayConfig(surrogate, corpus=tmp_path / "copy"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 0}, "count is 0, expected at least 1"),
        ({"tolerance": -1.0}, "tolerance is -1.0"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
    ],
)
def test_bad_options_are_refused(given: Json, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReplayConfig(Path("x"), **given)


def test_a_file_without_episodes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no finished episode"):
        main(ReplayConfig(tmp_path / "empty.jsonl"))


def test_exit_codes_and_the_last_line(
    surrogate: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
    monkeypatch.setattr(sys, "argv", ["pretraingym", "replay", str(surrogate)])
    command_line.main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["mismatches"] == 0
    change(surrogate, 1, raise_last_loss)
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["mismatches"] == 1
    change(surrogate, 1, lambda line: line.update(seed="x"))
    with pytest.raises(SystemExit) as end:
        command_line.main()
    out, err = capsys.readouterr()
    assert (end.value.code, out, len(err.splitlines())) == (2, "", 1)
    assert "episodes.jsonl line 2.seed is 'x', expected a whole number" in err
