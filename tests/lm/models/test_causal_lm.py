"""Configurations of models: by size, or from any transformers folder."""

from pathlib import Path

import pytest
from transformers import GPT2Config

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import config_in, llama


def test_heads_must_be_even() -> None:
    assert llama(300, 192, 1, 32).num_attention_heads == 3
    with pytest.raises(InputError, match="width 99 cannot be split into 1 heads"):
        llama(300, 99, 1, 32)


def test_any_causal_model_by_its_folder(tmp_path: Path) -> None:
    GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64).save_pretrained(tmp_path)
    config = config_in(tmp_path, 300, 64)
    assert (type(config), config.vocab_size, config.n_layer) == (GPT2Config, 300, 2)
    assert config.eos_token_id is None
    with pytest.raises(InputError, match="reads 64 tokens, fewer than the windows' 65"):
        config_in(tmp_path, 300, 65)


def test_folders_without_a_usable_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json in"):
        config_in(tmp_path, 300, 16)
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(InputError, match="no config that transformers knows"):
        config_in(tmp_path, 300, 16)
