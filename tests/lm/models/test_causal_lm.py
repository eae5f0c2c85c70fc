"""Configurations of models: by size, or from any transformers folder; weights that cannot be used."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, ModernBertDecoderConfig

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import config_in, llama, new_model, num_parameters, ready_model
from pretraingym.lm.models.engine_config import EngineConfig


def test_heads_must_be_even() -> None:
    assert llama(300, 192, 1, 32).num_attention_heads == 3
    with pytest.raises(InputError, match="width 99 cannot be split into 1 heads"):
        llama(300, 99, 1, 32)


def test_any_causal_model_by_its_folder(tmp_path: Path) -> None:
    GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64).save_pretrained(tmp_path)
    config = config_in(tmp_path, 300, 64)
    assert (type(config), config.vocab_size, config.n_layer) == (GPT2Config, 300, 2)
    assert [config.bos_token_id, config.eos_token_id, config.pad_token_id] == [None] * 3
    config = config_in(tmp_path, 300, 64, end_of_text=7)
    assert [config.bos_token_id, config.eos_token_id, config.pad_token_id] == [7] * 3
    with pytest.raises(InputError, match="reads 64 tokens, fewer than the windows' 65"):
        config_in(tmp_path, 300, 65)


def test_folders_without_a_usable_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json in"):
        config_in(tmp_path, 300, 16)
    for content, message in (
        ('{"model_type": "nonsense"}', "no config that transformers knows .*`nonsense`"),
        ('{"model_type": ', "no config that transformers knows .Expecting value"),
        ('{"model_type": "t5"}', "is of kind t5, of which transformers has no causal LM"),
        ('{"model_type": "mllama"}', "is of kind mllama, whose text model cannot be read alone"),
        ('{"model_type": "llama", "auto_map": {"AutoConfig": "own.Config"}}', "names code of its own .auto_map."),
        ('{"model_type": "llama", "num_attention_heads": 7}', r"\(4096\) is not a multiple of .* heads \(7\)"),
        ('{"model_type": "llama", "hidden_size": "wide"}', "'hidden_size' expected int, got str"),
    ):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(InputError, match=message) as refusal:
            config_in(tmp_path, 300, 16)
        assert "\n" not in str(refusal.value)


def test_special_tokens_without_an_end_of_text_are_none_or_known(tmp_path: Path) -> None:
    ModernBertDecoderConfig(pad_token_id=50283).save_pretrained(tmp_path)  # whose tokens must be numbers
    config = config_in(tmp_path, 300, 16)
    ids = {name: value for name, value in config.to_dict().items() if name.endswith("_token_id")}
    assert all(value is None or 0 <= value < 300 for value in ids.values())
    assert None not in (ids["bos_token_id"], ids["pad_token_id"])


def test_sizes_of_which_there_is_no_model_are_named() -> None:
    config = llama(300, 16, 1, 32)
    config.hidden_act = "nonsense"
    for make in (num_parameters, lambda config: new_model(config, 0)):
        with pytest.raises(InputError, match="can make no llama model of its config.json: 'nonsense'"):
            make(config)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    new_model(llama(300, 16, 2, 32), 0).save_pretrained(tmp_path)
    return tmp_path


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def unpickled_alone(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def without_a_shard(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    min(folder.glob("model-*.safetensors")).unlink()


def damaged_index(folder: Path) -> None:
    without_a_shard(folder)
    (folder / "model.safetensors.index.json").write_text("[]")


FAULTS: dict[str, Callable[[Path], Any]] = {
    "the weights in .* cannot be used: .*header": lambda folder: os.truncate(folder / "model.safetensors", 5000),
    "the weights in .* cannot be used: .*header too small": lambda folder: os.truncate(folder / "model.safetensors", 0),
    "weights of model.norm.weight in .* are not all finite": lambda folder: changed(
        folder, lambda tensors: tensors["model.norm.weight"].fill_(torch.nan)
    ),
    "has no weights of model.norm.weight .1 missing.": lambda folder: changed(
        folder, lambda tensors: tensors.pop("model.norm.weight")
    ),
    r"model.norm.weight in .* is \(9,\), but \(16,\) by its config": lambda folder: changed(
        folder, lambda tensors: tensors.update({"model.norm.weight": torch.ones(9)})
    ),
    "only pytorch_model.bin, which would have to be unpickled": unpickled_alone,
    "no model.safetensors in [^,]*: save": lambda folder: (folder / "model.safetensors").unlink(),
    "model-00001-of-.* is missing .1 of ": without_a_shard,
    "index.json is damaged": damaged_index,
}


@pytest.mark.parametrize("message", FAULTS)
def test_weights_that_cannot_be_used(message: str, origin: Path) -> None:
    config = config_in(origin, 300, 32, keep_vocabulary=True)
    ready_model(config, 0, origin, EngineConfig())
    FAULTS[message](origin)
    with pytest.raises(InputError, match=message) as refusal:
        ready_model(config, 0, origin, EngineConfig())
    assert "\n" not in str(refusal.value)


def test_what_is_pickled_is_never_run(origin: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(origin / "sprung"),)

    (origin / "model.safetensors").unlink()
    torch.save({"x": Trap()}, origin / "pytorch_model.bin")
    with pytest.raises(InputError, match="unpickled"):
        ready_model(config_in(origin, 300, 32, keep_vocabulary=True), 0, origin, EngineConfig())
    assert not (origin / "sprung").exists()
