"""pretraingym transfer: the same consoles on every size, and how alike they are ranked."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.commands.transfer import TransferConfig, main, rank_agreement
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError


def test_ranks_and_regret() -> None:
    proxy = [{"natural": 3.0, "a": 2.0, "b": 2.5, "c": 2.8}, {"natural": 3.0, "a": 2.0, "b": 2.5, "c": 2.8}]
    target = [{"natural": 2.0, "a": 1.0, "b": 1.1, "c": 1.2}, {"natural": 2.0, "a": 1.3, "b": 1.1, "c": 1.0}]
    told = rank_agreement(proxy, target)
    assert told["spearman_by_scenario"] == [1.0, -1.0]
    assert told["spearman"] == 0
    assert told["regret_nats"] == pytest.approx(0.15)  # b is .3 worse than it could be in the second


def test_harm_is_that_of_the_policy_that_wins_on_the_proxy() -> None:
    proxy = [{"natural": 3.0, "a": 2.0, "b": 2.5}, {"natural": 1.0, "a": 2.0, "b": 2.5}]
    target = [{"natural": 2.0, "a": 2.1, "b": 1.5}, {"natural": 2.0, "a": 1.8, "b": 1.5}]
    harm = rank_agreement(proxy, target)["harm"]
    assert harm["scenarios"] == 2
    assert harm["gain_nats"] == pytest.approx(0.05)
    assert harm["harmed_share"] == 0.5
    assert harm["worst_tenth_nats"] == pytest.approx(-0.1)
    assert rank_agreement(target, target)["harm"]["harmed_share"] == 0


def test_the_ladder(tiny_corpus: Corpus, tiny_setting: Setting, tmp_path: Path) -> None:
    clock = replace(tiny_setting.episode, steps_per_interval=16)
    setting = replace(tiny_setting, episode=clock)
    config = TransferConfig(
        ("uniform",), tmp_path / "run", tiny_corpus.path, setting, (16,), replace(setting, width=32), scenarios=2
    )
    sizes = main(config)["sizes"]
    assert sizes["target"]["spearman"] == pytest.approx(1)
    assert sizes["target"]["regret_nats"] == 0
    assert sizes["width-16"]["params"] < sizes["target"]["params"]
    assert sizes["width-16"]["spearman"] > 0.3
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert "constant:strength=0.25,influence=1" in written["losses"]["target"][0]
    assert main(replace(config, resume=True))["sizes"] == sizes


def test_where_there_is_nothing_to_rank() -> None:
    null = [{"natural": 3.0, "a": None, "b": None}]
    assert rank_agreement(null, null)["spearman"] == 0  # type: ignore[arg-type]
    gone = [{"natural": None, "a": 1.0, "b": 2.0}]
    assert rank_agreement(null, null)["harm"] is rank_agreement(gone, gone)["harm"] is None  # type: ignore[arg-type]
    same = [{"natural": 3.0, "a": 1.0, "b": 1.0}]
    assert (rank_agreement(same, same)["spearman"], rank_agreement(same, same)["regret_nats"]) == (0, 0)


def test_what_cannot_be_is_refused_before_anything_is_written(
    tiny_corpus: Corpus, tiny_setting: Setting, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    sizes = tiny_setting, (16,), replace(tiny_setting, width=32)
    with pytest.raises(InputError, match="unknown policy 'ligt'"):
        main(TransferConfig(("ligt",), path, tiny_corpus.path, *sizes))
    fewer = replace(tiny_setting, agents=("null", "quality", "influence"))
    with pytest.raises(InputError, match="width-16 has the agents null, quality, influence, expected the target's"):
        main(TransferConfig(("lift",), path, tiny_corpus.path, fewer, *sizes[1:]))
    assert not path.exists()
