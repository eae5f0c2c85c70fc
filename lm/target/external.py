"""Guest: a model that another trainer trains, as a Backend that measures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..backend import Floats, Ids
from ..corpus.windows import Windows
from ..io.errors import InputError
from ..models.influence import InPlace
from ..models.measured import Measured
from ..proxies.head_loss import IGNORED, token_losses


class GuestModel(InPlace):
    """A transformers causal LM that lives elsewhere. It is measured in float32, without dropout, and left as it was;
    every rank measures for itself. `pass_rows`: sequences of a forward pass."""

    def __init__(self, model: Any, average_decay: float, pass_rows: int) -> None:
        self.model, self.average_decay, self.pass_rows = model, average_decay, pass_rows
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        if strange := [name for name, parameter in trained.items() if type(parameter) is not nn.Parameter]:
            raise InputError(f"{strange[0]} is sharded, expected a model that each rank has whole (DDP, not FSDP)")
        self.live = trained
        self.parameters = {name: nn.Parameter(parameter.detach()[None]) for name, parameter in trained.items()}
        self.average = {name: parameter.detach().clone()[None] for name, parameter in trained.items()}

    @torch.no_grad()
    def stepped(self) -> None:
        """The trainer has changed the weights: they go into the running average."""
        weights = [parameter.data for parameter in self.parameters.values()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - self.average_decay)

    @torch.no_grad()
    def evaluate(self, tokens_NBT: Tensor) -> Tensor:
        with self._measuring():
            parts = [self._losses(tokens) for tokens in tokens_NBT[0].split(self.pass_rows)]
        return torch.cat(parts)[None]

    def gradient(self, tokens_NBT: Tensor) -> dict[str, Tensor]:
        total = {name: torch.zeros_like(parameter) for name, parameter in self.live.items()}
        with self._measuring():
            for tokens in tokens_NBT[0].split(self.pass_rows):
                loss = self._losses(tokens).sum() / tokens_NBT.shape[1]
                for value, grad in zip(
                    total.values(), torch.autograd.grad(loss, list(self.live.values())), strict=True
                ):
                    value.add_(grad)
        return {name: value[None] for name, value in total.items()}

    def _losses(self, tokens_BT: Tensor) -> Tensor:
        """Mean loss of each window, nats per predicted token -> (B,)."""
        tokens = tokens_BT.to(next(iter(self.live.values())).device)
        # Not through the module's call: a trainer's mixed precision and hooks are wrapped around its forward.
        forward = getattr(self.model, "_original_forward", self.model.forward)
        logits = forward(input_ids=tokens[:, :-1].clamp(min=0), use_cache=False).logits
        targets = tokens[:, 1:]
        losses = token_losses(logits.flatten(0, 1)[None], None, targets.reshape(1, -1)).view(targets.shape)
        return losses.sum(1) / (targets != IGNORED).sum(1).clamp(min=1)

    @contextmanager
    def _measuring(self) -> Iterator[None]:
        training = self.model.training
        self.model.eval()
        try:
            with torch.autocast(next(iter(self.live.values())).device.type, enabled=False):
                yield
        finally:
            self.model.train(training)


class Guest(Measured):
    """A backend of one model whose trainer steps and saves for itself."""

    def __init__(self, windows: Windows, half_life: float, pass_rows: int = 64, influence_step: float = 1e-3) -> None:
        self.windows, self.half_life, self.pass_rows, self.influence_step = (
            windows,
            half_life,
            pass_rows,
            influence_step,
        )
        self.lr_fraction = 1.0  # of the peak, of the coming step
        self.num_params = 0  # known once there is a model
        self._model: GuestModel | None = None

    def welcome(self, model: Any) -> None:
        """Measure this model from now on."""
        self._model = GuestModel(model, 0.5 ** (1 / self.half_life), self.pass_rows)
        self.num_params = sum(parameter.numel() for parameter in self._model.live.values())

    @property
    def measured(self) -> GuestModel:
        if self._model is None:
            raise InputError("no model is being trained, expected the trainer to have begun")
        return self._model

    def start(self, slot: int, seed: int, lr_scale: float = 1.0) -> None:
        """Nothing: the model begins as its trainer has it."""

    def train(self, windows: Ids, active: NDArray[np.bool_]) -> Floats:
        """InputError: that is for its trainer to do."""
        raise InputError(
            "a guest was asked to train, expected its own trainer to: give that the windows of `draw_interval`, then "
            "`measure`"
        )

    def learning_rate(self) -> Floats:
        return np.array([self.lr_fraction])

    def state_dict(self) -> dict[str, NDArray]:
        """The running average; the weights themselves are the trainer's to keep."""
        return {f"average.{name}": value.cpu().numpy() for name, value in self.measured.average.items()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        for name, value in self.measured.average.items():
            value.copy_(torch.from_numpy(state[f"average.{name}"]))
