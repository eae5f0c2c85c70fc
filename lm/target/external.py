"""ExternalBackend: a model that another trainer trains, as a Backend that measures it."""

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
from ..models.finite_differences import DifferentiableInPlace
from ..models.single_model import SingleModelBackend
from ..proxies.head_loss import IGNORED, token_losses


class ExternalModel(DifferentiableInPlace):
    """A transformers causal LM that another trainer owns. It is measured in float32, without dropout, and left as it
    was; every rank measures for itself. `pass_sequences`: sequences of a forward pass."""

    def __init__(self, model: Any, average_decay: float, pass_sequences: int) -> None:
        self.model, self.average_decay, self.pass_sequences = model, average_decay, pass_sequences
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        if sharded := [name for name, parameter in trained.items() if type(parameter) is not nn.Parameter]:
            raise InputError(f"{sharded[0]} is sharded, expected a model that each rank has whole (DDP, not FSDP)")
        self.trained = trained
        self.parameters = {name: nn.Parameter(parameter.detach()[None]) for name, parameter in trained.items()}
        self.average = {name: parameter.detach().clone()[None] for name, parameter in trained.items()}

    @torch.no_grad()
    def update_average(self) -> None:
        """Take the weights into the running average; to be called after each step of the trainer."""
        weights = [parameter.data for parameter in self.parameters.values()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - self.average_decay)

    @torch.no_grad()
    def evaluate(self, tokens_NWL: Tensor) -> Tensor:
        with self._measuring():
            parts = [self._losses(tokens_WL) for tokens_WL in tokens_NWL[0].split(self.pass_sequences)]
        return torch.cat(parts)[None]

    def gradient(self, tokens_NWL: Tensor) -> dict[str, Tensor]:
        total = {name: torch.zeros_like(parameter) for name, parameter in self.trained.items()}
        with self._measuring():
            for tokens_WL in tokens_NWL[0].split(self.pass_sequences):
                loss = self._losses(tokens_WL).sum() / tokens_NWL.shape[1]
                grads = torch.autograd.grad(loss, list(self.trained.values()))
                for value, grad in zip(total.values(), grads, strict=True):
                    value.add_(grad)
        return {name: value[None] for name, value in total.items()}

    def _losses(self, tokens_WL: Tensor) -> Tensor:
        """Mean loss of each window, nats per predicted token -> (W,)."""
        tokens_WL = tokens_WL.to(self._device)
        # Not through the module's call: a trainer's mixed precision and hooks are wrapped around its forward.
        forward = getattr(self.model, "_original_forward", self.model.forward)
        logits = forward(input_ids=tokens_WL[:, :-1].clamp(min=0), use_cache=False).logits
        targets = tokens_WL[:, 1:]
        losses = token_losses(logits.flatten(0, 1)[None], None, targets.reshape(1, -1)).view(targets.shape)
        return losses.sum(1) / (targets != IGNORED).sum(1).clamp(min=1)

    @property
    def _device(self) -> torch.device:
        return next(iter(self.trained.values())).device

    @contextmanager
    def _measuring(self) -> Iterator[None]:
        """Inside, the model is in evaluation mode and autocast is off."""
        training = self.model.training
        self.model.eval()
        try:
            with torch.autocast(self._device.type, enabled=False):
                yield
        finally:
            self.model.train(training)


class ExternalBackend(SingleModelBackend):
    """A backend of one model that another trainer steps and saves. `half_life`: steps, of the running average of the
    weights."""

    def __init__(
        self, windows: Windows, half_life: float, pass_sequences: int = 64, influence_step: float = 1e-3
    ) -> None:
        self.windows, self.half_life = windows, half_life
        self.pass_sequences, self.influence_step = pass_sequences, influence_step
        self.lr_fraction = 1.0  # share of the peak learning rate, of the coming step
        self.num_params = 0  # known once a model is attached
        self._model: ExternalModel | None = None

    def attach(self, model: Any) -> None:
        """Measure this model from now on."""
        self._model = ExternalModel(model, 0.5 ** (1 / self.half_life), self.pass_sequences)
        self.num_params = sum(parameter.numel() for parameter in self._model.trained.values())

    @property
    def measured_model(self) -> ExternalModel:
        if self._model is None:
            raise InputError("no model is being trained, expected the trainer to have begun: `attach` its model")
        return self._model

    def start(self, slot: int, seed: int, lr_scale: float = 1.0) -> None:
        """Does nothing: the trainer has initialised the model."""

    def train(self, ids: Ids, active: NDArray[np.bool_]) -> Floats:
        """InputError: the trainer takes the steps."""
        raise InputError(
            "an external backend was asked to train, expected its own trainer to take the steps: give it the windows "
            "of `Episode.draw`, then call `Episode.measure`"
        )

    def learning_rate(self) -> Floats:
        return np.array([self.lr_fraction])

    def state_dict(self) -> dict[str, NDArray]:
        """The running average; the trainer saves the weights themselves."""
        return {f"average.{name}": value.cpu().numpy() for name, value in self.measured_model.average.items()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        for name, value in self.measured_model.average.items():
            value.copy_(torch.from_numpy(state[f"average.{name}"]))
