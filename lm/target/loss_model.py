"""A transformers causal LM together with its loss: the module that is trained and distributed over ranks."""

from typing import Any

import torch
from torch import Tensor, nn

from ..io.errors import InputError
from ..models.causal_lm import IdentityHead, ends_in_head
from ..models.engine_config import EngineConfig
from ..precision import float32_products
from ..proxies.attention import NAME, Documents
from ..proxies.head_loss import token_losses, weighted_losses
from .packing import Form, documents, forms

# Rms difference, over the spread of the logits, that rounding may make between a window alone and in company. Measured:
# at most 1.4e-6 in float32 up to a width of 1,024 and 48 layers, 8e-4 in TF32; of documents that see each other
# .4 or more.
APART = 1e-4
APART_HALF = 0.05  # where the products are of half precision (assumed)


class LossModel(nn.Module):
    """Losses from tokens. Where the model ends in a plain head, that is taken out of the model, so that the logits of
    a whole batch never exist: see `head_loss`. `products`: type of the matrix products of training. `paths`: path of
    each parameter in this module -> its name in the transformers model, tied ones once. `form`: of the documents that
    the model is told of; None where it knows them by their positions alone, or they are not packed apart."""

    def __init__(self, model: Any, engine: EngineConfig, products: torch.dtype) -> None:
        super().__init__()
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.tables = _tables(model)
        self.head = model.get_output_embeddings() if ends_in_head(model) else None
        if self.head is not None:
            model.set_output_embeddings(IdentityHead(self.head))
        self.model = model
        self.paths = {path: names[id(parameter)] for path, parameter in self.named_parameters()}
        self.form = self._form(products) if engine.packing == "documents" else None
        if engine.save_memory:
            compute_again(model)
        kinds = set(model._no_split_modules or ())
        self.layers = [module for module in model.modules() if type(module).__name__ in kinds]

    def forward(
        self,
        inputs: Tensor,
        positions: Tensor | None,
        targets: Tensor,
        weights: Tensor | None,
        apart: Documents | None = None,
    ) -> Tensor:
        """Tokens (sequences, positions) -> the sum of their losses times `weights`, nats, or without weights each
        token's loss, 0 where the target is ignored; positions: given where a sequence has several windows, and with
        them `apart`, of the model's `form`."""
        placed: dict[str, Any] = {} if positions is None else {"position_ids": positions}
        if apart is not None:
            placed["documents"] = apart
        out = self.model(input_ids=inputs, use_cache=False, **placed).logits.flatten(0, 1)[None]
        head = None if self.head is None else self.head.weight[None]
        if weights is None:
            return token_losses(out, head, targets.reshape(1, -1)).view(targets.shape)
        return weighted_losses(out, head, targets.reshape(1, -1), weights.reshape(1, -1)).sum()  # FSDP2 wants no view

    def leaves_parameters_out(self) -> bool:
        """Whether the gradient of a small batch does not reach some parameter that is to be trained."""
        tokens = torch.arange(4, device=next(self.parameters()).device)[None]
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        loss = self(tokens, None, tokens, torch.ones_like(tokens, dtype=torch.float32))
        return None in torch.autograd.grad(loss, trained, allow_unused=True)

    def _form(self, products: torch.dtype) -> Form | None:
        """The fastest form of documents that keeps them apart. InputError: a window would see the one before it."""
        device = next(self.parameters()).device
        if self.model.config._attn_implementation == NAME:
            for form in forms(device, products):
                half = form == "bounds" and products != torch.float32  # the kernel's precision, which training has
                with torch.autocast(device.type, products, enabled=half):
                    if self._keeps_apart(form, APART_HALF if half else APART):
                        return form
            self.model.set_attn_implementation("sdpa")  # some part of the model goes by positions
        if not self._keeps_apart(None, APART):
            raise InputError(
                f"{type(self.model).__name__} does not keep packed documents apart: choose --engine.packing none (a "
                "sequence each) or plain (documents see each other)"
            )
        return None

    @torch.no_grad()
    def _keeps_apart(self, form: Form | None, apart: float) -> bool:
        """Whether a window's logits do not depend on the window before it, but for a rounding of `apart`."""
        # Two sequences: some kinds of attention keep documents apart only in a batch of one. No token 0: where that is
        # the padding, by which some models count positions, theirs would be 0 to 3 as well.
        place = torch.arange(4, device=next(self.parameters()).device).expand(2, -1)
        alone, both, positions = place + 1, torch.cat([place + 2, place + 1], 1), torch.cat([place, place], 1)
        placed: dict[str, Any] = {"position_ids": positions}
        if form is not None:
            placed["documents"] = documents(
                [[4, 4], [4, 4]], form, lambda array: torch.from_numpy(array).to(both.device)
            )
        with float32_products("highest"):
            expected = self.model(input_ids=alone, use_cache=False).logits
            try:
                packed = self.model(input_ids=both, use_cache=False, **placed).logits[:, 4:]
            except (TypeError, ValueError, RuntimeError, IndexError):  # it takes no positions, or none that begin again
                return False
        difference = (expected - packed).square().mean().sqrt()
        return torch.allclose(difference, torch.zeros_like(difference), atol=apart * float(expected.std()))


def compute_again(model: Any) -> None:
    """From now on the model computes activations again in the backward pass in place of keeping them."""
    newer = getattr(model, "activation_checkpointing_enable", None)  # the older name goes in transformers 6
    (newer or model.gradient_checkpointing_enable)({"use_reentrant": False})


def _tables(model: Any) -> set[str]:
    """Names of the embeddings and the head, which take AdamW."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    if (head := model.get_output_embeddings()) is not None:
        tables.add(id(head.weight))
    return {name for name, parameter in model.named_parameters() if id(parameter) in tables}
