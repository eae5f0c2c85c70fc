"""Packed documents on the way that a GPU takes: the losses of unpacked ones, without a mask, and without a wait."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AttentionInterface, BertConfig, GPT2Config, PretrainedConfig, Qwen3Config

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import llama, ready_model
from pretraingym.lm.models.engine_config import EngineConfig
from pretraingym.lm.models.optimizer_config import OptimizerConfig
from pretraingym.lm.proxies import attention
from pretraingym.lm.proxies.attention import NAME, causal_attention, take_causal_attention
from pretraingym.lm.proxies.head_loss import IGNORED
from pretraingym.lm.target import loss_model, packing
from pretraingym.lm.target.ranks import Ranks
from pretraingym.lm.target.target_model import TargetModel

SIZE, LENGTHS = 16, (16, 9, 4, 2, 11, 16, 3)  # positions of a sequence, and of the windows
SEQUENCES = [[0], [1, 2, 3], [4, 6], [5], []]
ALONE = [[window] for window in range(len(LENGTHS))]
ENGINE = EngineConfig(pass_sequences=2)


def configs() -> dict[str, PretrainedConfig]:
    shape: dict[str, Any] = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "bos_token_id": 0, "eos_token_id": 0}
    window = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
    return {
        "llama": llama(64, 32, 2, SIZE + 1),
        "gpt2": GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0),
        "bert": BertConfig(**shape, is_decoder=True),
        "grouped heads": Qwen3Config(**shape),
        "a window": Qwen3Config(**shape | window),
    }


def a_target(kind: str = "llama", engine: EngineConfig = ENGINE, products: torch.dtype = torch.float32) -> TargetModel:
    model = ready_model(configs()[kind], 0, None, engine)
    take_causal_attention(model, SIZE + 1)
    return TargetModel(model, engine, OptimizerConfig(), 0.9, Ranks("cpu"), products)


def tokens() -> np.ndarray:
    drawn = np.random.default_rng(0).integers(0, 64, (len(LENGTHS), SIZE + 1))
    for window, length in enumerate(LENGTHS):
        drawn[window, length + 1 :] = IGNORED
    return drawn


def step(target: TargetModel, sequences: list[list[int]]) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients."""
    seen: dict[str, torch.Tensor] = {}
    target.update = lambda rate: seen.update(  # type: ignore[method-assign]
        {name: parameter.grad.clone() for name, parameter in target.parameters.items() if parameter.grad is not None}
    )
    return float(target.train_step(tokens(), sequences, sum(LENGTHS), 1.0)), seen


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch, varlen_on_cpu: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Packs documents as on a GPU, and returns the calls of its kernel."""
    monkeypatch.setattr(loss_model, "forms", lambda device, products: packing.forms(torch.device("cuda"), torch.half))
    return varlen_on_cpu


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The masks that torch's attention is given."""
    given, sdpa = [], torch.nn.functional.scaled_dot_product_attention

    def spy(*heads: Any, attn_mask: Any = None, **options: Any) -> torch.Tensor:
        if attn_mask is not None:
            given.append(attn_mask)
        return sdpa(*heads, attn_mask=attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    return given


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert", "grouped heads"])
def test_packed_is_unpacked(kind: str, on_a_gpu: list[dict[str, Any]], masks: list[Any]) -> None:
    loss, gradients = step(a_target(kind), ALONE)
    packed = a_target(kind)
    on_a_gpu.clear()
    found, others = step(packed, SEQUENCES)
    assert found == pytest.approx(loss, abs=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, atol=1e-6, rtol=1e-4)
    bounds = [0, 16, 25, 29, 31, 32, 32, 32, 32], [0, 11, 14, 16, 32], [0, 16]  # of the passes; padded
    assert [call["bounds"].tolist() for call in on_a_gpu] == [list(each) for each in bounds for _ in range(2)]
    assert {call["longest"] for call in on_a_gpu} == {SIZE}
    windows = torch.from_numpy(tokens())[None]
    packed.evaluate(windows)
    packed.influence(windows[:, None, :2], torch.ones(1, 1), windows, 1e-3, 2)
    assert not masks


@pytest.mark.parametrize(("kind", "form"), [("llama", "mask"), ("a window", None)])
def test_a_cpu_gives_the_same(kind: str, form: str | None) -> None:
    loss, gradients = step(a_target(kind), ALONE)
    packed = a_target(kind)
    assert packed.loss_model.form == form
    found, others = step(packed, SEQUENCES)
    assert found == pytest.approx(loss, abs=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, atol=1e-6, rtol=1e-4)


def test_the_kernel_gets_the_precision_of_training(on_a_gpu: list[dict[str, Any]]) -> None:
    target = a_target(products=torch.bfloat16)
    loss, _ = step(target, SEQUENCES)
    assert {kind for call in on_a_gpu for kind in call["types"]} == {torch.bfloat16}
    assert loss == pytest.approx(step(a_target(), ALONE)[0], abs=0.01)


@pytest.mark.parametrize("save_memory", [False, True])
def test_no_pass_waits_for_a_number(save_memory: bool, on_a_gpu: Any, waits: Any) -> None:
    target, windows = a_target(engine=EngineConfig(pass_sequences=2, save_memory=save_memory)), tokens()
    with waits() as seen:
        target.train_step(windows, SEQUENCES, sum(LENGTHS), 1.0)
        target.train_step(windows, ALONE, sum(LENGTHS), 1.0)
        target.evaluate(torch.from_numpy(windows)[None])
        target.gradient(torch.from_numpy(windows)[None])
    assert not seen


def no_kernel(*heads: Any, **options: Any) -> torch.Tensor:
    raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.")


def test_without_the_kernel_each_document_has_a_call(
    on_a_gpu: Any, masks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, _ = step(a_target(), ALONE)
    monkeypatch.setattr(attention, "varlen_attn", no_kernel)
    target = a_target()
    assert target.loss_model.form == "lengths"
    assert step(target, SEQUENCES)[0] == pytest.approx(loss, abs=1e-6)
    assert not masks


def test_a_model_that_is_not_told_of_documents_goes_by_positions(
    on_a_gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(*heads: Any, documents: Any = None, **options: Any) -> Any:
        return causal_attention(*heads, **options)

    monkeypatch.setitem(AttentionInterface._global_mapping, NAME, deaf)
    target = a_target()
    assert (target.loss_model.form, target.loss_model.model.config._attn_implementation) == (None, "sdpa")
    assert step(target, SEQUENCES)[0] == pytest.approx(step(a_target(), ALONE)[0], abs=1e-6)
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda position_ids: None)
    with pytest.raises(InputError, match="LlamaForCausalLM does not keep packed documents apart"):
        a_target()


def test_a_long_sequence_has_no_mask_on_a_cpu_either() -> None:
    to_device: Callable[[Any], torch.Tensor] = torch.from_numpy
    short, long = (
        packing.documents([[size - 1, 1]], "mask", to_device) for size in (packing.MASKED, 2 * packing.MASKED)
    )
    assert short.mask is not None
    assert (long.mask, long.lengths) == (None, (2 * packing.MASKED - 1, 1))


def test_only_half_precision_has_the_kernel() -> None:
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert packing.forms(gpu, torch.bfloat16)[0] == "bounds"
    assert "mask" not in packing.forms(gpu, torch.bfloat16) + packing.forms(gpu, torch.float32)
    assert "bounds" not in packing.forms(gpu, torch.float32) + packing.forms(cpu, torch.bfloat16)
