"""What pretrain does before and after a target's run to tell its gain: the trial, and natural beside it."""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.analysis.charges import run_charges, trial_flops
from pretraingym.experiments.commands.pretrain import PretrainConfig, main
from pretraingym.experiments.runs import target_gain
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.trials.trial import Trial, TrialConfig

Stopped = Callable[[PretrainConfig, int], None]
HELPS, HARMS = "only:match-prose", "only:match-code"
pytestmark = pytest.mark.usefixtures("trial_cache")


@pytest.fixture
def config(tiny_corpus: Corpus, tiny_setting: Setting, tmp_path: Path) -> PretrainConfig:
    """A target that is to become good at prose, and proxies on which the wrong text harms."""
    clock = replace(tiny_setting.episode, steps_per_interval=24)
    setting = replace(tiny_setting, episode=clock)
    return PretrainConfig(
        HELPS,
        folder=tmp_path / "run",
        corpus=tiny_corpus.path,
        target=setting,
        reference={"prose": 1.0},
        save_every_s=1e-6,
        trial=TrialConfig(seeds=3, windows=96, proxy=setting),
    )


def card(config: PretrainConfig) -> str:
    return (config.folder / "model" / "README.md").read_text()


def report(config: PretrainConfig) -> str:
    return unescape((config.folder / "report.html").read_text())


def no_trial_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "run", lambda *_: pytest.fail("a trial was run"))


def test_a_policy_that_gains_drives_and_the_gain_is_told(
    config: PretrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stopped: Stopped
) -> None:
    monkeypatch.setattr(sys, "argv", ["pretraingym", "pretrain", "--folder", "my runs"])
    result = main(config)
    trial = result["trial"]
    assert trial["verdict"] == "gain"
    assert trial["gain_ci95"][0] > 0
    assert 0 < trial["seconds"] < 100
    assert trial["flops_over_the_targets"] > 1  # the target is as small as its proxies
    err = capsys.readouterr().err
    assert f"trial: {HELPS} against natural on proxies of this corpus: {trial['gain_nats']:+.3f} nats" in err
    assert "--beside natural --resume`" in result["true_gain"]
    assert "tested" not in result
    page = report(config)
    assert "pretraingym pretrain --folder 'my runs'" in page
    for text in (card(config), page):
        assert "the true gain is unknown, since natural did not run beside it" in text.replace("this;", "it;")
        assert f"{trial['gain_nats']:+.3f} nats" in text
    no_trial_now(monkeypatch)  # neither when it is shown again, nor of another target of the same
    assert main(replace(config, resume=True))["trial"] == trial
    other = replace(config, folder=config.folder.with_name("other"))
    stopped(other, 2)
    assert main(replace(other, resume=True))["trial"] == trial


def test_a_trial_changes_nothing_of_the_run(config: PretrainConfig) -> None:
    alone = main(replace(config, folder=config.folder.with_name("alone"), no_trial=True))
    assert "trial" not in alone
    assert "true_gain" in alone
    assert main(config)["test_loss_nats"] == alone["test_loss_nats"]


def test_a_policy_that_loses_is_refused_and_leaves_nothing(
    config: PretrainConfig, trial_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(target_gain, "LONG_S", 0.0)
    harmful = replace(config, policy=HARMS)
    with pytest.raises(InputError, match=r"the interval lies below 0, so the policy makes the model worse") as refusal:
        main(harmful)
    assert "\n" not in str(refusal.value)
    assert "--anyway" in str(refusal.value)
    assert not config.folder.exists()
    assert len(list(trial_cache.iterdir())) == 1
    (long,) = [line for line in capsys.readouterr().err.splitlines() if "takes about" in line]
    for words in ("a vocabulary of 320 tokens", "--trial.seeds", "--no-trial", str(trial_cache)):
        assert words in long
    no_trial_now(monkeypatch)
    with pytest.raises(InputError, match="below 0"):
        main(harmful)
    assert "takes about" not in capsys.readouterr().err  # it is kept
    with pytest.warns(UserWarning, match="it drives all the same"):
        result = main(replace(harmful, anyway=True))
    assert result["trial"]["verdict"] == "harm"
    assert "worse than no selection" in card(config)


def test_what_the_run_would_refuse_is_refused_before_the_trial(
    config: PretrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(replace(config, policy="natural"))
    no_trial_now(monkeypatch)
    with pytest.raises(InputError, match=f"policy is natural there, {HELPS} here"):
        main(config)
    (config.folder.with_name("full")).mkdir()
    (config.folder.with_name("full") / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        main(replace(config, folder=config.folder.with_name("full")))


def test_a_killed_trial_leaves_nothing_and_begins_anew(
    config: PretrainConfig, trial_cache: Path, killed_at: Callable[[int, Callable[[], Any]], bool]
) -> None:
    step = 0
    while killed_at(step := step + 1, lambda: main(config)) and not config.folder.exists():
        assert not trial_cache.exists() or len(list(trial_cache.glob("[!.]*"))) <= 1
    assert step > 1
    assert main(replace(config, resume=True))["trial"]["verdict"] == "gain"


def test_natural_needs_no_trial(config: PretrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    no_trial_now(monkeypatch)
    result = main(replace(config, policy="natural"))
    assert "trial" not in result
    assert "true_gain" not in result
    assert "worth" not in card(config)


def test_a_dry_run_tells_the_cost_and_tries_nothing(config: PretrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    no_trial_now(monkeypatch)
    planned = main(replace(config, dry_run=True))["trial"]
    assert planned["runs"] == 6
    assert planned["flops"] > 0
    assert main(replace(config, dry_run=True, corpus=None, trial=TrialConfig()))["trial"]["runs"] == 32
    assert "trial" not in main(replace(config, dry_run=True, no_trial=True))
    both = main(replace(config, dry_run=True, beside="natural"))
    assert both["beside"] == {"policy": "natural", "train_flops": both["train_flops"], "hours": both["hours"]}
    proxy = config.trial.proxy
    measured = 2 * 10 * 2 * 1000 * proxy.context  # windows of two parts, forwards
    assert trial_flops(proxy, 4, 10, 1000, 2) == 8 * (run_charges(proxy, 1000, 2).total + measured)


def test_natural_beside_it_tells_the_true_gain(
    config: PretrainConfig, stopped: Stopped, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = replace(config, beside="natural", no_trial=True)
    whole = main(replace(beside, folder=tmp_path / "whole"))
    gain = whole["beside"]
    assert gain["gain_nats"] == pytest.approx(gain["test_loss_nats"]["prose"] - whole["test_loss_nats"]["prose"], 1e-4)
    assert gain["gain_ci95"][0] < gain["gain_nats"] < gain["gain_ci95"][1]
    assert gain["verdict"] == "gain"
    assert f"is {gain['gain_nats']:+.3f} nats" in whole["true_gain"]
    lost = whole["test_loss_nats"]["code"] - gain["test_loss_nats"]["code"]
    assert lost > 0.02  # of the task that it was not asked for
    assert f"ended worse than natural's: code by {lost:.3f} nats" in whole["true_gain"]
    assert whole["true_gain"] in capsys.readouterr().err
    told = card(replace(beside, folder=tmp_path / "whole"))
    assert whole["true_gain"] in told
    assert "unknown" not in told
    assert "under natural" in (tmp_path / "whole" / "report.html").read_text()
    stopped(beside, 2)  # in the policy's run, then in natural's
    stopped(replace(beside, resume=True), 9)
    assert (beside.folder / "natural").exists()
    assert "the true gain is unknown" in report(beside)  # of the policy's run there is a report already
    again = main(replace(beside, resume=True))
    assert again["beside"] == gain
    assert main(replace(beside, resume=True))["beside"] == gain


def test_natural_comes_beside_a_finished_run(config: PretrainConfig) -> None:
    main(replace(config, no_trial=True))
    assert "unknown" in card(config)
    later = main(replace(config, beside="natural", resume=True))
    assert later["true_gain"] in card(config)
    natural = main(replace(config, policy="natural", folder=config.folder.with_name("alone")))
    assert later["beside"]["test_loss_nats"] == natural["test_loss_nats"]
    shown = main(replace(config, resume=True))  # without natural: it tells what is known
    assert (shown["beside"], shown["true_gain"]) == (later["beside"], later["true_gain"])
    assert later["true_gain"] in report(config)
    (config.folder / "model" / "README.md").unlink()
    with pytest.warns(UserWarning, match=r"README\.md is missing, so no card tells the true gain"):
        assert main(replace(config, resume=True))["beside"] == later["beside"]
    with pytest.raises(InputError, match="natural given as the policy and beside itself"):
        replace(config, policy="natural", beside="natural")


def test_natural_is_not_trained_beside_what_it_cannot_be_compared_with(
    config: PretrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(replace(config, no_trial=True))
    stages = config.folder / "stages.json"
    held = json.loads(stages.read_text())
    for tested, why in (({"corpus": "another", "loss_nats": []}, "losses on another corpus"), (None, "no losses by")):
        result = {**held["pretrain"]["result"], "tested": tested}
        stages.write_text(json.dumps({"pretrain": {**held["pretrain"], "result": result}}))
        with pytest.raises(InputError, match=f"holds {why}.*run both anew in another --folder"):
            main(replace(config, beside="natural", resume=True))
    assert not (config.folder / "natural").exists()


def test_a_run_begun_without_a_trial_looks_for_none(
    config: PretrainConfig, stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(replace(config, no_trial=True), 2)
    monkeypatch.setattr(Trial, "before", lambda *_: pytest.fail("a trial was made"))
    assert "trial" not in main(replace(config, resume=True))


def test_ranks_wait_for_the_trial_of_the_first(
    config: PretrainConfig, trial_cache: Path, all_ranks: Callable[[int, Callable[[], Any]], None], on_ranks: Any
) -> None:
    agents = ("null", "match-code", "match-prose")
    two = replace(config, target=replace(config.target, agents=agents))

    def work() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            main(replace(two, beside="natural"))

    all_ranks(2, work)
    stages = json.loads((config.folder / "stages.json").read_text())
    assert stages["trial"]["result"]["pairs"] == 3
    assert len(list(trial_cache.iterdir())) == 1
    refused = on_ranks(2, lambda: main(replace(two, policy=HARMS, folder=config.folder.with_name("no"))))
    for process in refused:
        process.join(60)
    assert [process.exitcode for process in refused] == [1, 2]  # an InputError, and silence
    assert not config.folder.with_name("no").exists()
