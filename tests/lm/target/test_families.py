"""Models of many families through a target: what each needs, that it trains, and that it is saved as it was trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from pretraingym.lm.backend import Schedule
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.windows import Windows
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import config_in
from pretraingym.lm.models.engine_config import EngineConfig
from pretraingym.lm.models.optimizer_config import OptimizerConfig
from pretraingym.lm.models.training import TrainConfig
from pretraingym.lm.target.target import Target

CONTEXT = 24
TRAIN = TrainConfig(Schedule(4, warmup_steps=1), OptimizerConfig(0.02, 0.01))
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
BERT = SHAPE | {"max_position_embeddings": 64, "is_decoder": True}
DECODER = {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "encoder_layers": 1}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
KV = {"num_key_value_heads": 1, "head_dim": 16}
APART, ALONE = "documents", "none"  # the packing that a family takes
FAMILIES: dict[str, tuple[dict[str, Any], str]] = {
    "mamba": ({"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}, ALONE),  # reads its head's weight
    "mamba2": ({"hidden_size": 32, "num_hidden_layers": 2, "num_heads": 4, "head_dim": 16, "n_groups": 1}, ALONE),
    "bart": (DECODER, ALONE),  # has norms for an encoder that it has not
    "roformer": (BERT | {"embedding_size": 32}, ALONE),  # frozen sinusoids, no sdpa
    "roberta": (BERT, ALONE),  # counts its positions by the padding token
    "bert": (BERT, APART),
    "modernbert-decoder": (SHAPE, APART),  # its special tokens must be numbers
    "bloom": ({"hidden_size": 32, "n_layer": 2, "n_head": 2}, ALONE),
    "gptj": (GPT | {"rotary_dim": 8}, APART),
    "rwkv": ({"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2}, ALONE),
    "gpt_oss": (SHAPE | KV | {"num_local_experts": 4, "num_experts_per_tok": 2}, ALONE),
    "gemma2": (SHAPE | KV, APART),  # caps its logits
    "gemma3": ({"text_config": SHAPE | KV, "vision_config": SHAPE | {"image_size": 28, "patch_size": 14}}, APART),
}


@pytest.fixture(scope="module")
def windows(tiny_corpus: Corpus) -> Windows:
    return Windows(tiny_corpus, CONTEXT)


@pytest.mark.filterwarnings("ignore:.* has no attention sdpa; it gets eager")
@pytest.mark.parametrize("kind", FAMILIES)
def test_a_family_trains_and_comes_back_from_its_folder(windows: Windows, kind: str, tmp_path: Path) -> None:
    fields, packing = FAMILIES[kind]
    CONFIG_MAPPING[kind](**fields).save_pretrained(tmp_path / "config")
    config = config_in(tmp_path / "config", windows.corpus.vocab_size, CONTEXT, windows.corpus.end_of_text)
    if packing == ALONE:
        with pytest.raises(InputError, match="does not keep packed documents apart: choose --engine.packing none"):
            Target(config, windows, TRAIN, EngineConfig())
    target = Target(config, windows, TRAIN, EngineConfig(packing=packing))
    before = {name: parameter.data.clone() for name, parameter in target.model.parameters.items()}
    ids = np.random.default_rng(0).choice(windows.ids(windows.corpus.splits["train"]), (1, 2, 4))
    trained = target.train(ids, np.ones(1, bool))
    assert abs(trained[0] - np.log(windows.corpus.vocab_size)) < 1
    changed = {name for name, parameter in target.model.parameters.items() if (parameter.data != before[name]).any()}
    assert changed > {name for name in before if "mlp" in name and "weight" in name and "vision" not in name}
    loss = target.evaluate(ids[:, 0], False)[0]
    target.save_pretrained(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    tokens = torch.from_numpy(windows.fetch(ids[0, 0]))
    with torch.no_grad():
        logits = model(input_ids=tokens[:, :-1].clamp(min=0), use_cache=False).logits
    counted = tokens[:, 1:] != -100
    losses = torch.nn.functional.cross_entropy(logits.mT, tokens[:, 1:], reduction="none").sum(1) / counted.sum(1)
    np.testing.assert_allclose(losses.numpy(), loss, atol=1e-4)
    assert model.generation_config.eos_token_id == windows.corpus.end_of_text


def test_what_no_gradient_reaches_stays_as_it_is(windows: Windows, tmp_path: Path) -> None:
    CONFIG_MAPPING["bart"](**DECODER).save_pretrained(tmp_path)
    config = config_in(tmp_path, windows.corpus.vocab_size, CONTEXT, windows.corpus.end_of_text)
    target = Target(config, windows, TRAIN, EngineConfig(packing="none"))
    before = {name: parameter.data.clone() for name, parameter in target.model.parameters.items()}
    target.train(np.random.default_rng(0).choice(windows.ids(range(100)), (1, 3, 4)), np.ones(1, bool))
    still = {name for name, parameter in target.model.parameters.items() if torch.equal(parameter.data, before[name])}
    assert still == {name for name in before if "encoder_attn" in name}


@pytest.mark.parametrize("packing", ["documents", "plain", "none"])
def test_a_model_that_sees_both_ways_is_refused_with_every_packing(
    windows: Windows, packing: Any, tmp_path: Path
) -> None:
    CONFIG_MAPPING["bert"](**BERT | {"is_decoder": False}).save_pretrained(tmp_path)
    config = config_in(tmp_path, windows.corpus.vocab_size, CONTEXT)
    with pytest.raises(InputError, match="BertLMHeadModel sees the tokens .* set is_decoder to true in its config"):
        Target(config, windows, TRAIN, EngineConfig(packing=packing))


def test_an_attention_that_the_model_has_not_is_told(windows: Windows, tmp_path: Path) -> None:
    fields, packing = FAMILIES["gemma2"]
    CONFIG_MAPPING["gemma2"](**fields).save_pretrained(tmp_path)
    config = config_in(tmp_path, windows.corpus.vocab_size, CONTEXT)
    with pytest.warns(UserWarning, match="Gemma2ForCausalLM has no attention sdpa; it gets eager"):
        Target(config, windows, TRAIN, EngineConfig(packing=packing))
