"""A model of another trainer's is measured in pieces: the numbers of all logits at once, and bounded memory."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM, Gemma2Config, GPTJConfig, GraniteConfig, PretrainedConfig

from pretraingym.lm.models.causal_lm import llama
from pretraingym.lm.models.finite_differences import Differentiable
from pretraingym.lm.proxies import head_loss
from pretraingym.lm.target.external import ExternalModel

VOCABULARY, CONTEXT = 300, 25
SHAPE: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64, "num_attention_heads": 2}
SHAPE |= {"num_key_value_heads": 1}


def configs(vocabulary: int) -> dict[str, PretrainedConfig]:
    tied, given = llama(vocabulary, 32, 1, CONTEXT), {"vocab_size": vocabulary, "bos_token_id": 0, "eos_token_id": 0}
    tied.tie_word_embeddings = True
    return {
        "llama": llama(vocabulary, 32, 1, CONTEXT),
        "tied": tied,
        "bias": GPTJConfig(**given, n_embd=32, n_layer=1, n_head=2, rotary_dim=8),
        "scaled": GraniteConfig(**given, **SHAPE, logits_scaling=4.0),
        "capped": Gemma2Config(**given, **SHAPE, head_dim=16, final_logit_softcapping=300.0),
    }


CONFIGS = configs(VOCABULARY)


class Around(nn.Module):
    """A plain module, which names no head."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: Tensor) -> Any:
        return self.inner(input_ids).logits


def a_model(config: PretrainedConfig) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).train()


def tokens(*shape: int, vocabulary: int = VOCABULARY) -> Tensor:
    """Windows of several lengths."""
    found = torch.randint(0, vocabulary, (*shape, CONTEXT), generator=torch.Generator().manual_seed(shape[-1]))
    found[..., ::2, CONTEXT // 2 :] = -100
    return found


class AllLogits(Differentiable):
    """The same measured in one pass, from all logits in float32."""

    def __init__(self, model: Any) -> None:
        self.model = deepcopy(model).float().eval()
        named = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        self.parameters = {name: nn.Parameter(value.detach()[None]) for name, value in named.items()}
        self.held: dict[str, Any] = self.parameters

    @contextmanager
    def holding(self, weights: dict[str, Tensor]) -> Iterator[None]:
        self.held = weights
        yield
        self.held = self.parameters

    def losses(self, tokens_NWL: Tensor) -> Tensor:
        windows = tokens_NWL[0]
        inputs, targets = windows[:, :-1].clamp(min=0), windows[:, 1:]
        output = functional_call(self.model, {name: value[0] for name, value in self.held.items()}, (inputs,))
        logits = getattr(output, "logits", output)
        losses = F.cross_entropy(logits.mT, targets, reduction="none")
        return losses.sum(1) / (targets != -100).sum(1)

    @torch.no_grad()
    def evaluate(self, tokens_NWL: Tensor) -> Tensor:
        return self.losses(tokens_NWL)[None]

    def gradient(self, tokens_NWL: Tensor) -> dict[str, Tensor]:
        grads = torch.autograd.grad(self.losses(tokens_NWL).mean(), list(self.parameters.values()), allow_unused=True)
        return dict(zip(self.parameters, grads, strict=True))


REFERENCE, PROBE = tokens(1, 2, 5), tokens(1, 7)
MEASURED = REFERENCE, torch.tensor([[0.25, 0.75]]), PROBE, 1e-2, 2


def sizes(model: ExternalModel, room: int) -> int:
    model.fit(CONTEXT, room)
    return model.pass_sequences


@pytest.mark.parametrize("room", [1, 2**30], ids=["a-window-a-pass", "one-pass"])
@pytest.mark.parametrize("kind", [*CONFIGS, "wrapped", "bfloat16"])
def test_pieces_give_the_numbers_of_all_logits(kind: str, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(head_loss.PIECE, "cpu", 20 * VOCABULARY)
    own = a_model(CONFIGS.get(kind, CONFIGS["llama"]))
    if kind == "wrapped":
        own = Around(own)
    if kind == "bfloat16":
        own = own.bfloat16()
        own.lm_head.weight.requires_grad = own.model.layers[0].mlp.up_proj.weight.requires_grad = False
    before = {name: value.clone() for name, value in own.state_dict().items()}
    expected, external = AllLogits(own), ExternalModel(own, 0.9)
    assert (external._head is None) is (kind in ("bias", "capped", "wrapped"))
    with external.measuring():
        assert sizes(external, room) == (1 if room == 1 else 64)
        torch.testing.assert_close(external.evaluate(PROBE), expected.evaluate(PROBE), rtol=1e-6, atol=1e-6)
        wanted = expected.gradient(REFERENCE[:, 0])
        for name, value in external.gradient(REFERENCE[:, 0]).items():
            torch.testing.assert_close(value, wanted[name.removeprefix("model.")], rtol=1e-4, atol=1e-6)
        for found, wanted_of in zip(external.influence(*MEASURED), expected.influence(*MEASURED), strict=True):
            near = max(1e-5, 5e-4 * float(wanted_of.abs().max()))  # finite differences of float32
            torch.testing.assert_close(found, wanted_of, rtol=1e-5, atol=near)
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())
    assert "forward" not in vars(getattr(own, "lm_head", own)), "the head was not put back"


class Allocated(TorchDispatchMode):
    """Bytes of new storages: the largest, and the most that live at once."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = self.live = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        old = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        found = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor) and id(storage := tensor.untyped_storage()) not in old | self.known:
                self._note(storage)
        return found

    def _note(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()
        self.known.add(key)
        weakref.finalize(storage, self._forget, key, size)
        self.live += size
        self.largest, self.most = max(self.largest, size), max(self.most, self.live)

    def _forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


@pytest.mark.parametrize("kind", ["llama", "capped"])
def test_the_largest_tensor_does_not_grow_with_the_windows(kind: str) -> None:
    """A piece of the logits, where there is a plain head, or a window's; or the embedding, which is larger here."""
    bound = 2**20
    for windows, vocabulary in ((4, 8192), (16, 8192), (16, 2048)):
        external = ExternalModel(a_model(configs(vocabulary)[kind]), 0.9)
        reference, probe = (tokens(*shape, windows, vocabulary=vocabulary) for shape in ((1, 1), (1,)))
        with external.measuring():
            external.fit(CONTEXT, 4 * bound)
            with Allocated() as seen:
                external.influence(reference, torch.ones(1, 1), probe, 1e-2, 2)
        assert seen.largest <= bound < windows * (CONTEXT - 1) * 8192 * 4


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_twelve_bytes_a_weight_while_it_is_measured(precision: torch.dtype) -> None:
    """Of weights that are far more than the activations, in two groups of reference windows."""
    model = a_model(llama(64, 128, 6, CONTEXT)).to(precision)
    external, number = ExternalModel(model, 0.9), sum(value.numel() for value in model.parameters())
    windows = REFERENCE % 64, MEASURED[1], PROBE % 64, *MEASURED[3:]
    with Allocated() as seen:
        with external.measuring():
            external.fit(CONTEXT, 1)
            external.influence(*windows)
        external.update_average()
    assert 11 * number < seen.most < 13.5 * number


@pytest.mark.parametrize("kind", ["llama", "capped"])
def test_a_pass_takes_the_room_it_is_given(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(head_loss.PIECE, "cpu", VOCABULARY)
    external = ExternalModel(a_model(CONFIGS[kind]), 0.9)
    with external.measuring():
        assert sizes(external, 2**40) == 64
        for room in (2**20, 2**22):
            number = sizes(external, room)
            assert 1 < number < 64
            with Allocated() as seen:
                external.gradient(tokens(1, number))
            weights = 4 * sum(value.numel() for value in external.parameters.values())
            assert 0.4 * room < seen.most - weights < 1.2 * room
