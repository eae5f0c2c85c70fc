"""Trials: pairs of runs on exactly the target's situation, kept, and told in words."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from pretraingym.env.console.console import Console
from pretraingym.env.console.limits import EPOCHS, SHARE, Limit
from pretraingym.env.measuring import Measuring
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus import windows
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.tokenizer import train_tokenizer
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.proxies.stack import ProxyStack
from pretraingym.policies.baselines.fixed import Natural
from pretraingym.policies.baselines.frozen import Frozen
from pretraingym.policies.baselines.rules import Lift
from pretraingym.policies.baselines.sure import Sure
from pretraingym.policies.registry import make_policy
from pretraingym.policies.trials.side_by_side import run_side_by_side
from pretraingym.policies.trials.store import kept, key, result_of
from pretraingym.policies.trials.trial import Trial, TrialConfig, drawn_by
from pretraingym.policies.trials.verdict import EXPECTED, refusal, told
from pretraingym.policies.trials.window_gains import MeanGain, mean_gain

Make = Callable[..., Trial]
pytestmark = pytest.mark.usefixtures("trial_cache")


@pytest.fixture
def config(tiny_setting: Setting) -> TrialConfig:
    """Long enough for the wrong text to harm."""
    clock = replace(tiny_setting.episode, steps_per_interval=24)
    return TrialConfig(seeds=3, windows=96, proxy=replace(tiny_setting, episode=clock))


@pytest.fixture
def make(tiny_corpus: Corpus, config: TrialConfig) -> Make:
    """A trial before a target of 200 thousand tokens, which is to become good at prose."""
    setting = Setting(width=32, context=64)

    def trial(policy: str, reference: dict[str, float] | None = None, **given: Any) -> Trial:
        task = setting.task(tiny_corpus)
        made = make_policy(policy, task.agent_names)
        made.reset(task.agent_names, 1)
        wanted = {"prose": 1.0} if reference is None else reference
        return Trial.before(task, setting.episode, policy, made, given.pop("config", config), wanted, **given)

    return trial


def test_it_tells_gain_from_harm(make: Make) -> None:
    helps, harms = make("only:match-prose").run(), make("only:match-code").run()
    assert helps.gain.verdict == "gain"
    assert harms.gain.verdict == "harm"
    assert helps.pairs == 3
    assert 12 < helps.documents <= 24  # of the trial part, in 96 windows
    assert refusal(helps) is None
    why = refusal(harms)
    assert why is not None
    for words in ("only:match-code against natural", f"{harms.gain.nats:+.3f} nats", "below 0", "--anyway"):
        assert words in why


def test_natural_gains_nothing(make: Make) -> None:
    result = make("natural").run()
    assert (result.gain.nats, result.validation_gain.nats, result.fit.nats) == (0, 0, 0)
    assert "neither helps nor harms here" in told(result)


def test_its_runs_are_runs_like_others(make: Make) -> None:
    """Natural's and the policy's of each seed, whatever runs beside them."""
    trial = make("lift")
    seeds = trial.seeds(3)
    assert len({*seeds, *trial.seeds(2, after=3)}) == 5
    finished = trial.finished(seeds)
    for place, seed in enumerate(seeds):
        alone = run_side_by_side(trial.setting, trial.task, [Natural(), make_policy("lift")], trial.scenario, [seed])
        np.testing.assert_allclose(finished.last.loss_N[[place, 3 + place]], alone.last.loss_N, atol=1e-6)


@pytest.mark.parametrize("part", ["trial", "validation", "test"])
def test_it_measures_the_part_that_it_names(make: Make, part: str) -> None:
    trial = make("lift", {"prose": 3.0, "code": 1.0})
    found = trial.measured(trial.finished(trial.seeds(2)), np.arange(2), part)
    assert [stratum.weight for stratum in found] == pytest.approx([0.75, 0.25])
    for stratum, name in zip(found, ("prose", "code"), strict=True):
        split = trial.task.corpus.splits[f"{name}/{part}"]
        assert set(stratum.document_W) <= set(split)
        assert stratum.gain_NW.shape == (2, len(stratum.document_W))


def test_the_fit_is_what_the_validation_part_has_more_and_each_part_is_read_once(make: Make) -> None:
    trial = make("lift")
    with patch.object(Measuring, "window_losses", autospec=True, side_effect=Measuring.window_losses) as read:
        result = trial.run()
    assert [call.args[1] for call in read.call_args_list] == ["trial", "validation"]
    assert result.fit.nats == pytest.approx(result.validation_gain.nats - result.gain.nats)
    assert result.fit.ci95 is not None


def test_its_situation_is_the_targets(tiny_corpus: Corpus, config: TrialConfig, tmp_path: Path) -> None:
    train_tokenizer(tiny_corpus.texts[:200], 300).save(str(tmp_path / "tokenizer.json"))
    agents = ("null", "quality", "match-prose", "influence")
    clock = replace(Setting().episode, console=Console(beta=4.0))
    corpus = tiny_corpus.with_tokenizer(tmp_path)
    task = Setting(context=64, agents=agents).task(corpus)
    trial = Trial.before(task, clock, "lift", make_policy("lift"), config, {"prose": 3.0, "code": 1.0})
    assert trial.task.agent_names == agents
    assert trial.task.corpus.vocab_size == tiny_corpus.vocab_size  # its own tokens
    assert trial.scenario.pool_budgets == pytest.approx(task.cells.tokens_C.sum() / clock.budget_tokens(64))
    assert dict(trial.scenario.reference) == {"prose": 0.75, "code": 0.25}
    assert trial.setting.episode.console == clock.console
    assert trial.setting.episode.num_intervals == config.proxy.episode.num_intervals


def test_limits_hold_in_it(make: Make) -> None:
    limits = (Limit(EPOCHS, "domain", "prose", 0),)
    trial = make("only:match-prose", limits=limits)
    episode = trial.finished(trial.seeds(2)).episode
    assert episode.drawn_NC[:, trial.task.cells.labels_CA[:, 0] == 0].sum() == 0
    none = make("lift", limits=(Limit(EPOCHS, "domain", "prose", 1e-7), Limit(SHARE, "domain", "prose", 0.5)))
    with pytest.raises(InputError, match=r"in the trial on proxies .*; or go without a trial \(--no-trial\)"):
        none.run()
    with pytest.raises(InputError, match="unknown reference task 'poetry'"):
        make("lift", {"poetry": 1.0})


def test_a_run_that_diverges_loses_a_nat_and_natural_that_does_is_left_out(
    make: Make, monkeypatch: pytest.MonkeyPatch, break_model: Callable[[Any, int], None]
) -> None:
    train, sick = ProxyStack.train, [4]

    def fails(self: ProxyStack, ids: np.ndarray, active: np.ndarray) -> np.ndarray:
        for slot in sick:
            break_model(self, slot)
        return train(self, ids, active)

    monkeypatch.setattr(ProxyStack, "train", fails)
    trial = make("lift")
    gains = trial.measured(trial.finished(trial.seeds(3)), np.arange(3), "trial")[0].gain_NW.mean(1)
    assert gains[1] == -1.0
    assert np.isfinite(gains).all()
    sick[:] = [0]
    assert trial.run().pairs == 2
    sick[:] = [0, 1]
    with pytest.raises(InputError, match="natural diverged in all but 1 of the trial's 3 runs"):
        trial.run()


def test_a_result_is_kept(make: Make, trial_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = make("lift")
    assert kept(trial) is None
    first = result_of(trial)
    (file,) = trial_cache.iterdir()
    monkeypatch.setattr(Trial, "run", lambda *_: pytest.fail("it was run again"))
    assert result_of(make("lift")) == first
    assert result_of(replace(make("lift"), name="mine")) == replace(first, policy="mine")
    file.write_bytes(file.read_bytes()[:40])  # damaged
    assert kept(trial) is None


def test_what_a_result_depends_on(make: Make, config: TrialConfig) -> None:
    trials = [
        make("lift"),
        make("lift:strength=0.3"),
        make("ten-tasks"),
        make("constant:strength=0.301,match=1"),
        make("constant:strength=0.299,match=1"),
        make("frozen-2:constant:strength=0.301,match=1"),
        make("frozen-2:constant:strength=0.299,match=1"),
        make("sure:constant:strength=0.301,match=1"),
        make("sure:constant:strength=0.299,match=1"),
        make("sure:frozen-2:constant:strength=0.299,match=1"),
        make("lift", {"prose": 1.0, "code": 1.0}),
        make("lift", limits=(Limit(EPOCHS, "domain", "prose", 1),)),
        make("lift", config=replace(config, seeds=4)),
        make("lift", config=replace(config, proxy=replace(config.proxy, width=24))),
    ]
    keys = [key(trial) for trial in trials]
    assert len(set(keys)) == len(keys)
    assert key(make("lift")) == keys[0]


def test_of_classes_of_others_nothing_is_kept(make: Make, trial_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may call themselves as they like."""

    class Mine(Lift):
        secret = 1.0

    result = make("natural").run()
    for policy in (Mine(), Frozen(Mine(), 2), Sure(Mine())):
        trial = replace(make("lift"), policy=policy)
        assert key(trial) is None
        monkeypatch.setattr(Trial, "run", lambda *_: result)
        assert result_of(trial) is result
        assert kept(trial) is None
    assert not trial_cache.exists()


def test_what_it_says(make: Make) -> None:
    result = make("natural").run()
    gains = replace(result, gain=MeanGain(0.1, (0.05, 0.15)), validation_gain=MeanGain(0.12, (0.05, 0.2)))
    assert EXPECTED in told(gains)
    assert "fit to that text" not in told(gains)
    fits = replace(gains, validation_gain=MeanGain(0.3, (0.2, 0.4)), fit=MeanGain(0.2, (0.1, 0.3)))
    assert "the policy stands at +0.300 nats, 0.200 above the trial text" in told(fits)
    unclear = replace(fits, gain=MeanGain(0.1, (-0.1, 0.3)), fit=MeanGain(0.2, (-0.1, 0.5)))
    assert told(unclear).endswith("so whether the policy helps here is not known")
    assert "which are natural's: for these reference tasks it neither helps nor harms here" in told(
        replace(fits, gain=MeanGain(0.0, (0.0, 0.0)))
    )
    alone = replace(fits, gain=MeanGain(0.1, None), fit=MeanGain(0.2, None))
    assert told(alone).endswith(
        "are of a single document, so nothing is known; name more reference text, or measure more windows "
        "(--trial.windows)"
    )


def test_a_loss_too_small_to_matter_is_told_and_not_refused(make: Make) -> None:
    tiny = replace(make("natural").run(), gain=MeanGain(-0.003, (-0.004, -0.002)))
    assert told(tiny).endswith("worse than no selection, by less than 0.005 nats, for which nothing is refused")
    assert refusal(tiny) is None
    harms = replace(tiny, gain=MeanGain(-0.007, (-0.013, -0.001)))
    assert told(harms).endswith("worse than no selection")
    assert refusal(harms, "mend it") == f"{told(harms)}; mend it"
    unclear = replace(tiny, gain=MeanGain(-0.1, (-0.21, 0.01)))
    assert refusal(unclear) is None
    assert "and the best guess is that it loses: to be safe take --policy natural" in told(unclear)
    assert "best guess" not in told(replace(tiny, gain=MeanGain(-0.01, (-0.03, 0.01))))


def test_the_lightest_task_has_windows_enough_for_an_interval(make: Make) -> None:
    trial = make("lift", {"prose": 999.0, "code": 1.0})
    heavy, light = trial.measured(trial.finished(trial.seeds(2)), np.arange(2), "trial")
    assert (heavy.weight, light.weight) == pytest.approx((0.999, 0.001))
    assert (len(heavy.document_W), len(light.document_W)) == (80, 16)
    assert mean_gain([heavy, light]).ci95 is not None
    assert mean_gain([light]).ci95 is not None


@pytest.mark.parametrize(
    ("weights", "count", "expected"),
    [
        ([0.5, 0.3, 0.2], 100, [50, 30, 20]),  # all have enough: their own
        ([0.999, 0.001, 0.0], 96, [80, 16, 0]),
        ([0.7, 0.17, 0.13], 100, [67.6, 16.4, 16]),
        ([0.68, 0.16, 0.16], 100, [68, 16, 16]),
        ([0.66, 0.17, 0.17], 96, [63.36, 16.32, 16.32]),
        ([0.7, 0.162, 0.138], 100, [68, 16, 16]),  # the second gets light as the third is filled up
        ([0.9, 0.05, 0.05], 10, [4, 3, 3]),
        ([0.0, 0.4, 0.6], 2, [0, 1, 1]),
    ],
)
def test_what_windows_are_drawn_by(weights: list[float], count: int, expected: list[float]) -> None:
    assert (drawn_by(np.array(weights), count) * count).tolist() == pytest.approx(expected, abs=0.02)


def test_what_proxies_cannot_do_says_how_to_go_without(
    make: Make, config: TrialConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"prose": 1.0, "code": 1.0}
    made = make("lift", {"prose": 1.0, "code": 0.0}, config=replace(config, windows=1))
    with pytest.raises(InputError, match=r"1 windows given, expected at least one for each of the 2 .*\(--no-trial\)"):
        make("lift", both, config=replace(config, windows=1))
    monkeypatch.setattr(windows, "MAX_PARTS", 1)  # as where documents are too long for the proxies' windows
    with pytest.raises(InputError, match=r"for the trial on proxies .*; or go without a trial \(--no-trial\)"):
        Trial.before(made.task, made.setting.episode, "lift", made.policy, config, both)


def test_bad_sizes() -> None:
    with pytest.raises(InputError, match="trial of 1 seeds, 1024 windows and seed 0 given"):
        TrialConfig(seeds=1)
