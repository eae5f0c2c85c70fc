"""train-console on several corpora: its rounds take them in turn."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.commands import train_console
from pretraingym.experiments.commands.train_console import LearnConfig, TrainConsoleConfig
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.ingest.synthetic import build_synthetic
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.saved.storage import load_policy


@pytest.fixture
def config(tiny_corpus: Corpus, tiny_setting: Setting, tmp_path: Path) -> TrainConsoleConfig:
    other = build_synthetic(tmp_path / "other", seed=1)
    return TrainConsoleConfig(
        folder=tmp_path / "run",
        corpus=tiny_corpus.path,
        more_corpora=(other.path,),
        proxy=tiny_setting,
        learn=LearnConfig(episodes=24, groups=2),
    )


def test_rounds_take_the_corpora_in_turn(config: TrainConsoleConfig, tiny_corpus: Corpus, tmp_path: Path) -> None:
    result = train_console.main(config)
    lines = [json.loads(line) for line in (config.folder / "episodes.jsonl").read_text().splitlines()]
    corpus_of = {line["hash"]: line["corpus"]["fingerprint"] for line in lines if line["kind"] == "config"}
    played = {line["number"]: corpus_of[line["config"]] for line in lines if line["kind"] == "episode"}
    other = Corpus.open(tmp_path / "other").fingerprint
    assert played == {0: tiny_corpus.fingerprint, 1: other, 2: tiny_corpus.fingerprint}
    assert load_policy(config.folder).card.corpus == f"{tiny_corpus.fingerprint} {other}"
    assert (result["episodes"], result["corpora"]) == (24, 2)
    assert result["profile_s"]["train"] > 0


def test_refuses_a_corpus_with_other_agents(config: TrainConsoleConfig, tmp_path: Path) -> None:
    odd = build_synthetic(tmp_path / "odd", tasks=("prose",))
    with pytest.raises(InputError, match="odd has the agents null, .*, expected null, .*, as the first corpus"):
        train_console.main(replace(config, more_corpora=(odd.path,)))
    assert not config.folder.exists()


def test_refuses_a_corpus_with_another_vocabulary(config: TrainConsoleConfig, tmp_path: Path) -> None:
    larger = build_synthetic(tmp_path / "larger", vocab_size=400)
    with pytest.raises(InputError, match="larger has a vocabulary of 400 tokens, expected 320, as the first corpus"):
        train_console.main(replace(config, more_corpora=(larger.path,)))


def test_does_not_go_on_with_another_corpus_in_the_place_of_one(config: TrainConsoleConfig, tmp_path: Path) -> None:
    train_console.main(config)
    (tmp_path / "other").rename(tmp_path / "before")
    build_synthetic(tmp_path / "other", seed=2)
    with pytest.raises(InputError, match="holds a run of another configuration: sha256"):
        train_console.main(replace(config, resume=True))
