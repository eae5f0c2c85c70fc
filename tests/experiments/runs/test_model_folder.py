"""The folder of a saved model: its tokenizer, its card, and what is brought along and checked before the training."""

import json
import shutil
from pathlib import Path

import pytest

from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.commands.pretrain import PretrainConfig, main
from pretraingym.experiments.runs.model_folder import usable_tokenizer
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError


@pytest.fixture(scope="module")
def origin(tiny_corpus: Corpus, tiny_setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a finished run under the shipped policy."""
    folder = tmp_path_factory.mktemp("first") / "run"
    config = PretrainConfig("ten-tasks", folder=folder, corpus=tiny_corpus.path, target=tiny_setting, no_trial=True)
    assert main(config)["policy"] == "ten-tasks"
    return folder / "model"


def test_the_card_names_the_policy_as_it_was_asked_for(origin: Path) -> None:
    assert "the console policy **ten-tasks** chose" in (origin / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer_config.json", "{", "tokenizer_config.json is damaged"),
        ("tokenizer_config.json", "[]", "tokenizer_config.json is damaged"),
        (
            "tokenizer_config.json",
            '{"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", null]}}',
            "cannot read the tokenizer in .*code of its own, auto_map",
        ),
        ("generation_config.json", "{", "generation_config.json cannot be used"),
        ("tokenizer.json", "{", "tokenizer.json is no tokenizer"),
    ],
)
def test_what_an_origin_brings_is_checked_before_the_training(
    origin: Path,
    tiny_corpus: Corpus,
    tiny_setting: Setting,
    tmp_path: Path,
    name: str,
    content: str,
    message: str,
) -> None:
    copy = Path(shutil.copytree(origin, tmp_path / "origin"))
    (copy / name).write_text(content)
    setting = Setting(origin=copy, context=tiny_setting.context, episode=tiny_setting.episode)
    corpus = Path(shutil.copytree(tiny_corpus.path, tmp_path / "corpus"))
    config = PretrainConfig("natural", folder=tmp_path / "run", corpus=corpus, target=setting)
    with pytest.raises(InputError, match=message) as refusal:
        main(config)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_the_corpus_is_a_tokenizer_folder_too(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    """Its own tokenizer ends texts with the same token by whichever way it is read."""
    task = tiny_setting.task(tiny_corpus)
    for source in (None, tiny_corpus.path):
        tokenizer = usable_tokenizer(task, source)
        assert tokenizer.eos_token_id == tiny_corpus.end_of_text
        assert tokenizer.decode(tokenizer("a b  c .").input_ids) == "a b  c ."
    assert json.loads((tiny_corpus.path / "tokenizer_config.json").read_text())["eos_token"] == "<|endoftext|>"
