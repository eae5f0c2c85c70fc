"""Whether a model is a causal one: no logit may depend on a later token, which training has it predict."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..io.errors import InputError

WINDOW = 8  # tokens of the window that is read
# Fields of configurations by which a model sees both ways: (the value that does it, the one of a causal model).
SWITCHES: dict[str, tuple[Any, Any]] = {
    "is_decoder": (False, True),
    "is_causal": (False, True),
    "causal": (False, True),  # XLM
    "use_bidirectional_attention": (True, False),
    "attn_type": ("bi", "uni"),  # XLNet
}


def check_causal(
    model: Any, vocab_size: int, context: int, logits_of: Callable[[Tensor], Tensor] | None = None
) -> None:
    """One small pass forward and back through a causal LM, which is left as it was. InputError: some logit depends on a
    later token. `vocab_size`, `context`: how many tokens there are, and of a window, both at least 2; `logits_of`: its
    logits of token ids (1, L), of a model that is not called as those of transformers are.

    The derivative of the logits before a token with respect to its embedding is 0 in a causal model: exactly, in any
    precision and with any routing of experts. To change the token and to compare logits would need a tolerance, and in
    bfloat16 an untrained model's leak is as small as the rounding."""
    size = min(WINDOW, context)
    later = max(1, size * 5 // 8)  # not at a half, where a chunk of attention may end
    table, held = _token_table(model, vocab_size), []
    forward = logits_of or (lambda ids: model(input_ids=ids, use_cache=False).logits)

    def hold(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        held.append(output.detach().requires_grad_())
        return held[-1].clone()  # some models add positions in place

    ids = torch.arange(size, device=next(table.parameters()).device)[None] * (vocab_size // size or 1) % vocab_size
    hook = table.register_forward_hook(hold)
    try:
        with torch.enable_grad(), evaluating(model):
            logits = forward(ids)
            seen_by = logits[:, :later].float().square().sum()
            grads = torch.autograd.grad(seen_by, held, allow_unused=True) if held else ()
    finally:
        hook.remove()
    if not held:
        raise InputError(
            f"{type(model).__name__} does not call its embedding of tokens as a module, so whether it sees the tokens "
            "that it is to predict cannot be checked: have its forward call the nn.Embedding"
        )
    # Some models have the batch on the second axis, some put a prompt before the text.
    seen = [grad.flatten(0, -2)[later - size :] for grad in grads if grad is not None]
    if any((grad.abs() > 0).any() for grad in seen):
        raise InputError(
            f"{type(model).__name__} sees the tokens that it is to predict, expected a causal model: {_advice(model)}"
        )


def _token_table(model: Any, vocab_size: int) -> nn.Module:
    """The embedding of the tokens: the one that the model names, else its first of as many rows."""
    if hasattr(model, "get_input_embeddings"):
        named: nn.Module = model.get_input_embeddings()
        return named
    tables = [part for part in model.modules() if isinstance(part, nn.Embedding) and part.num_embeddings >= vocab_size]
    if not tables:
        raise InputError(f"{type(model).__name__} has no embedding of {vocab_size} tokens, expected a causal LM")
    return tables[0]


def _advice(model: Any) -> str:
    for name, (both_ways, causal) in SWITCHES.items():
        if getattr(getattr(model, "config", None), name, None) == both_ways:
            return f"set {name} to {json.dumps(causal)} in its config.json"
    return "take one that reads from left to right (of BERT's kin, with is_decoder true in its config.json)"


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode; then every module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
