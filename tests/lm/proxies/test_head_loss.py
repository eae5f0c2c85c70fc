"""Cross entropy in pieces against torch's own on all logits."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, PretrainedConfig

from pretraingym.lm.models.causal_lm import ends_in_head, llama
from pretraingym.lm.proxies import head_loss
from pretraingym.lm.proxies.head_loss import token_losses, weighted_losses

MODELS, TOKENS, WIDTH, VOCAB = 3, 10, 4, 7


def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(MODELS, TOKENS, WIDTH, generator=generator)
    head = torch.randn(MODELS, VOCAB, WIDTH, generator=generator)
    target = torch.randint(0, VOCAB, (MODELS, TOKENS), generator=generator)
    target[1, 6:] = -100
    weight = torch.rand(MODELS, TOKENS, generator=generator) * (target != -100)
    return hidden.requires_grad_(), head.requires_grad_(), target, weight


def of_torch(hidden: torch.Tensor, head: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    logits = hidden @ head.mT
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view(target.shape)


@pytest.mark.parametrize("piece", [VOCAB, 4 * VOCAB, 25 * VOCAB, 2**18])  # a token, some, two models, all at once
def test_losses_and_gradients_are_torchs(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(head_loss.PIECE, "cpu", piece)
    hidden, head, target, weight = case()
    upstream = torch.tensor([1.0, -2.0, 0.5])
    expected = (of_torch(hidden, head, target) * weight).sum(1)
    gradients = torch.autograd.grad(expected, (hidden, head), upstream)
    losses = weighted_losses(hidden, head, target, weight)
    torch.testing.assert_close(losses, expected)
    for name, found, wanted in zip(
        ("hidden", "head"), torch.autograd.grad(losses, (hidden, head), upstream), gradients, strict=True
    ):
        torch.testing.assert_close(found, wanted, msg=lambda text, name=name: f"gradient to {name}: {text}")
    with torch.no_grad():
        torch.testing.assert_close(token_losses(hidden, head, target), of_torch(hidden, head, target))


class Products(TorchDispatchMode):
    """Keeps the sizes of the axes that matrix products in half precision run along."""

    def __init__(self) -> None:
        super().__init__()
        self.axes: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ == "bmm" and args[0].dtype == torch.bfloat16:
            self.axes |= {size for factor in args for size in factor.shape[1:]}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("vocabulary", [50, 64, 257])
def test_a_vocabulary_is_aligned_in_half_precision_and_its_padding_is_never_predicted(vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 16, 8, generator=generator).requires_grad_()
    head = (torch.randn(2, vocabulary, 8, generator=generator) - 5).requires_grad_()  # less likely than logits of 0
    target, weight = torch.randint(0, vocabulary, (2, 16), generator=generator), torch.rand(2, 16, generator=generator)
    expected = (of_torch(hidden, head, target) * weight).sum(1)
    wanted = torch.autograd.grad(expected.sum(), (hidden, head))
    with torch.autocast("cpu", torch.bfloat16), Products() as products:
        losses = weighted_losses(hidden, head, target, weight)
        found = torch.autograd.grad(losses.sum(), (hidden, head))
        single = token_losses(hidden.detach(), head.detach(), target)
    assert {size % 8 for size in products.axes} == {0}
    torch.testing.assert_close(losses, expected, rtol=0.02, atol=0.02)
    torch.testing.assert_close((single * weight).sum(1), expected, rtol=0.02, atol=0.02)
    assert found[1].shape == head.shape
    for gradient, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, right, rtol=0.05, atol=0.05 * float(right.abs().max()))


def test_logits_from_the_model_give_the_same_losses() -> None:
    hidden, head, target, weight = case()
    logits = hidden @ head.mT
    torch.testing.assert_close(token_losses(logits, None, target), token_losses(hidden.detach(), head, target))
    torch.testing.assert_close(
        weighted_losses(logits, None, target, weight), weighted_losses(hidden, head, target, weight)
    )


def test_a_probability_of_zero_costs_87_nats_and_nan_stays_nan() -> None:
    hidden, head = torch.tensor([[[200.0], [torch.nan]]]), torch.tensor([[[1.0], [-1.0]]])
    losses = token_losses(hidden, head, torch.tensor([[1, 1]]))
    assert losses[0, 0] == pytest.approx(87.3, abs=0.1)
    assert losses[0, 1].isnan()


GEMMA = Gemma2Config(
    vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
    intermediate_size=64, final_logit_softcapping=0.1,
)  # fmt: skip
GPT2 = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)


@pytest.mark.parametrize(("config", "plain"), [(llama(64, 32, 1, 16), True), (GPT2, True), (GEMMA, False)])
def test_a_model_that_changes_its_logits_keeps_its_head(config: PretrainedConfig, plain: bool) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    head = model.get_output_embeddings()
    assert ends_in_head(model) is plain
    assert model.get_output_embeddings() is head, "the head was not put back"
