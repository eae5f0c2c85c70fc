"""A surrogate that is fitted to what a known surrogate gave, and files that are not one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.settings.fitted_dynamics import LEAST_WORTH, FittedDynamics
from pretraingym.env.settings.surrogate_setting import CLOCK, SurrogateSetting
from pretraingym.experiments.analysis.worth_model import EpisodeTable, Noise
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.commands import surrogate_fit
from pretraingym.experiments.commands.surrogate_fit import SurrogateFitConfig, main, score
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

KNOWN = SurrogateSetting(
    twist=0.0, loss_sd=0.005, episode=replace(CLOCK, validation_windows=64, final_windows=512, num_intervals=4)
)


@pytest.fixture(scope="module")
def run(tiny_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with the records of 96 episodes under random weights and their 24 controls."""
    folder = tmp_path_factory.mktemp("run")
    given: Any = {"corpus": tiny_corpus.path, "setting": KNOWN, "autoreset_mode": "SameStep"}
    env = ConsoleVectorEnv(48, group_size=4, records=folder / "episodes.jsonl", **given)
    env.reset(seed=0, options={"scenario": Scenario((("prose", 0.5), ("code", 0.5)), 20.0)})
    rng = np.random.default_rng(0)
    for _ in range(2 * env.horizon):
        env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def found(run: Path) -> dict[str, Any]:
    return main(SurrogateFitConfig(run))


def test_it_foretells_the_episodes_held_out(found: dict[str, Any]) -> None:
    assert found["episodes"] == 96 + 24
    assert found["held_out"] == 120 * SurrogateFitConfig.held_out
    assert found["spearman"] > 0.95
    assert found["spearman_gain"] > 0.95
    assert found["spearman_within"] > 0.8
    assert found["noise_sd"] < 0.02
    alone = found["tokens_alone"]
    assert found["rmse"] < alone["rmse"] / 5
    assert abs(alone["spearman"]) < 0.4
    assert alone["spearman_gain"] == 0


@pytest.mark.soak
def test_it_foretells_nothing_where_mixtures_and_losses_are_of_different_runs(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the mean over six ways to mix them up: of one way's thirty episodes, chance alone gives .2."""
    read, rng = surrogate_fit.read_records, np.random.default_rng(1)

    def shuffled(path: Path) -> Any:
        configs, episodes = read(path)
        others = [episodes[other] for other in rng.permutation(len(episodes))]
        return configs, [replace(each, drawn=other.drawn) for each, other in zip(episodes, others, strict=True)]

    monkeypatch.setattr(surrogate_fit, "read_records", shuffled)
    (tmp_path / "episodes.jsonl").write_bytes((run / "episodes.jsonl").read_bytes())
    scores = [main(SurrogateFitConfig(tmp_path, seed=seed)) for seed in range(6)]
    for name in ("spearman", "spearman_gain", "spearman_within"):
        assert abs(np.mean([each[name] for each in scores])) < 0.3, name


def test_what_was_fitted_drives_an_episode(run: Path, found: dict[str, Any], tiny_corpus: Corpus) -> None:
    """Its worth of text is the known one's, by kind; natural ends at the same loss, though an interval is shorter."""
    fitted = SurrogateSetting(fitted=Path(found["surrogate"]), episode=replace(CLOCK, num_intervals=2))
    task = fitted.task(tiny_corpus)
    dynamics, known = fitted.dynamics(task), KNOWN.dynamics(task)
    natural_C = task.cells.natural_C
    assert dynamics.transfer_CT.min() >= LEAST_WORTH
    np.testing.assert_allclose(natural_C @ dynamics.transfer_CT, 1, atol=0.1)
    for name, fitted_C, known_C in zip(task.reference_tasks, dynamics.transfer_CT.T, known.transfer_CT.T, strict=True):
        assert np.corrcoef(fitted_C, known_C)[0, 1] > 0.8, name
    ends = [each.loss(np.full(2, each.unit_tokens)) for each in (dynamics, known)]
    np.testing.assert_allclose(*ends, atol=0.1)
    env = ConsoleVectorEnv(2, corpus=tiny_corpus.path, setting=fitted)
    env.reset(seed=0)
    for _ in range(env.horizon):
        _, reward, terminated, _, info = env.step(np.ones(env.action_space.shape, np.float32))
    assert terminated.all()
    assert np.isfinite(reward).all()
    assert (info["loss"] > 3).all()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"format": "other"}, r"surrogate.json.format is 'other', expected 'pretraingym surrogate 1'"),
        ({"more": 1}, r"surrogate.json has the unknown key 'more'"),
        ({"floor": [1.0]}, r"surrogate.json.floor is \[1.0\], expected a list of 2"),
        ({"amplitude": [1.0, -1.0]}, r"surrogate.json.amplitude\[1\] is -1, expected numbers from 0 up: fit it anew"),
        ({"theta": {}}, r"surrogate.json.theta lacks the key"),
        ({"loss_sd": True}, r"surrogate.json.loss_sd is True, expected a finite number"),
    ],
)
def test_a_bad_file_gets_its_line(found: dict[str, Any], tmp_path: Path, change: dict[str, Any], line: str) -> None:
    path = tmp_path / "surrogate.json"
    path.write_text(json.dumps(json.loads(Path(found["surrogate"]).read_text()) | change))
    with pytest.raises(InputError, match=line):
        FittedDynamics.load(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file: give the surrogate.json"):
        FittedDynamics.load(tmp_path)
    (tmp_path / "surrogate.json").write_text('{"floor": NaN}')
    with pytest.raises(InputError, match="is not valid JSON"):
        FittedDynamics.load(tmp_path / "surrogate.json")
    with pytest.raises(InputError, match=r"episodes.jsonl is not a file"):
        main(SurrogateFitConfig(tmp_path))
    (tmp_path / "episodes.jsonl").touch()
    with pytest.raises(InputError, match="0 finished episodes of 0 seeds under one config, expected at least 8 seeds"):
        main(SurrogateFitConfig(tmp_path))


def test_other_labels_are_refused(found: dict[str, Any], tiny_corpus: Corpus) -> None:
    path = Path(found["surrogate"])
    task = SurrogateSetting(agents=("null", "quality")).task(tiny_corpus)
    with pytest.raises(InputError, match="fitted to label column 'domain' with categories .*, here they are None"):
        FittedDynamics.load(path).dynamics(task, 1000.0, 0.0)
    other = replace(FittedDynamics.load(path), tasks=("prose", "law"))
    with pytest.raises(InputError, match="fitted for the tasks .*'law'.*, the corpus has .*'code'"):
        other.dynamics(task, 1000.0, 0.0)
    with pytest.raises(InputError, match="turn is 1.0 and a fitted surrogate was named"):
        SurrogateSetting(fitted=path, turn=1.0)


def test_scores_by_hand() -> None:
    """Two seeds, the first of each is the control."""
    real = np.array([4.0, 3.9, 3.7, 3.8, 5.0, 4.9, 4.8, 4.7])
    predicted = np.array([4.1, 4.0, 3.8, 3.9, 5.2, 4.9, 5.0, 5.1])
    unused = dict.fromkeys(("drawn", "natural_Q", "budgets", "loss_NIT", "weight_NT"), np.zeros(8))
    control_N = np.tile([True, False, False, False], 2)
    table = EpisodeTable(**unused, final_N=real, seed_N=np.repeat([3, 8], 4), control_N=control_N)
    scores = score(table, predicted)
    assert scores["spearman_within"] == pytest.approx((1 + -1) / 2)
    assert scores["rmse"] == pytest.approx(np.sqrt((4 * 0.01 + 0.04 + 0 + 0.04 + 0.16) / 8))
    assert scores["rmse_gain"] == pytest.approx(np.sqrt((3 * 0 + 0.2**2 + 0 + 0.2**2) / 6))


def test_noise_by_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    seed = np.repeat(np.arange(400), 5)
    off = rng.normal(0, 0.1, (2000, 3)) + rng.normal(0, 0.3, 400)[seed][:, None]
    off[:, -1] = rng.normal(0, 0.02, 2000) + rng.normal(0, 0.05, 400)[seed]
    off[7] = np.nan
    noise = Noise.of(off, seed)
    np.testing.assert_allclose(noise.within, [0.1, 0.02], rtol=0.05)
    np.testing.assert_allclose(noise.between, [0.3, 0.05], rtol=0.1)
    white = noise.whitened(off, seed)
    np.testing.assert_allclose(np.nanstd(white[:, -1]), 1, rtol=0.1)
    assert abs(np.corrcoef(white[np.arange(2000) % 5 == 3, -1], white[np.arange(2000) % 5 == 4, -1])[0, 1]) < 0.1
    _, between_last = Noise.of(off[::5], seed[::5]).between
    assert between_last == 0, "one run a seed: all noise of the last interval counts as within"


def test_the_command_line_knows_it(tmp_path: Path) -> None:
    run, config = parse(["surrogate", "fit", str(tmp_path), "--held-out", "0.5"])
    assert config == SurrogateFitConfig(tmp_path, held_out=0.5)
    assert run is surrogate_fit.main
    with pytest.raises(InputError, match="surrogate was given alone, expected what to do: surrogate fit"):
        parse(["surrogate"])
    with pytest.raises(InputError, match="held_out is 1, expected a share between 0 and 1"):
        SurrogateFitConfig(tmp_path, held_out=1)
