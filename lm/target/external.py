"""ExternalBackend: a model that another trainer trains, as a Backend that measures it."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from ..backend import Floats, Ids
from ..corpus.windows import Windows
from ..io.errors import InputError
from ..models.causality import check_causal, evaluating
from ..models.finite_differences import Differentiable
from ..models.single_model import SingleModelBackend
from ..proxies.head_loss import IGNORED, token_losses


def output_field(output: Any, name: str) -> Tensor | None:
    """`loss` or `logits` of what a model's forward gave, None if it is not there. Such an output has attributes, keys,
    or is a tuple: the loss first, if it is a number, then the logits."""
    if isinstance(output, Mapping):
        return output.get(name)
    if isinstance(output, Tensor):
        output = (output,)
    if not isinstance(output, tuple) or hasattr(output, "_fields"):
        return getattr(output, name, None)
    loss, rest = (output[0], output[1:]) if output[0].ndim == 0 else (None, output)
    return loss if name == "loss" else (rest[0] if rest else None)


class ExternalModel(Differentiable):
    """A causal LM that another trainer owns. It is measured with weights of its own in float32, whatever the trainer's
    are in, without dropout, and not changed; every rank measures for itself. `pass_sequences`: sequences of a forward
    pass. InputError: the model is sharded.

    Memory: four bytes a weight for the running average, while it is measured as many for each of two other sets, and
    for the trainer's weights where they are not float32."""

    def __init__(self, model: Any, average_decay: float, pass_sequences: int) -> None:
        model = getattr(model, "_orig_mod", model)  # not the compiled one, which would compile again for other weights
        self.forward, self.average_decay, self.pass_sequences = _OwnForward(model), average_decay, pass_sequences
        named = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
        self.trained = {name: parameter for name, parameter in named.items() if parameter.requires_grad}
        untrained = named | {f"model.{name}": buffer for name, buffer in model.named_buffers()}
        self._half = {  # not trained, to be read in float32 as well
            name: value
            for name, value in untrained.items()
            if name not in self.trained and value.is_floating_point() and value.dtype != torch.float32
        }
        if sharded := [name for name, parameter in self.trained.items() if type(parameter) is not nn.Parameter]:
            name = sharded[0].removeprefix("model.")
            raise InputError(f"{name} is sharded, expected a model that each rank has whole (DDP, not FSDP)")
        if not self.trained:
            raise InputError(f"no weight of {type(model).__name__} is trained, expected some with requires_grad")
        self.average = {name: value.detach().float().clone()[None] for name, value in self.trained.items()}
        self._held: dict[str, Tensor] | None = None  # in place of the trainer's own

    @torch.no_grad()
    def update_average(self) -> None:
        """Take the weights into the running average; to be called after each step of the trainer."""
        weights = [parameter.detach().float()[None] for parameter in self.trained.values()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - self.average_decay)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Inside, `evaluate`, `gradient` and `check_causal` can be called, and the weights are those of this moment.
        Autocast is off, and every module in evaluation mode."""
        self.parameters = {name: nn.Parameter(value.detach().float()[None]) for name, value in self.trained.items()}
        self._untrained = {name: value.detach().float() for name, value in self._half.items()}
        try:
            with torch.autocast(self._device.type, enabled=False), evaluating(self.forward):
                yield
        finally:
            self.parameters, self._untrained = {}, {}

    @contextmanager
    def holding(self, weights: dict[str, Tensor]) -> Iterator[None]:
        before, self._held = self._held, weights
        try:
            yield
        finally:
            self._held = before

    @torch.no_grad()
    def evaluate(self, tokens_NWL: Tensor) -> Tensor:
        parts = [self._losses(tokens_WL) for tokens_WL in tokens_NWL[0].split(self.pass_sequences)]
        return torch.cat(parts)[None]

    def check_causal(self, vocab_size: int, context: int) -> None:
        """InputError: the model sees the tokens that it is to predict."""
        check_causal(self.forward.model, vocab_size, context, self._logits)

    def gradient(self, tokens_NWL: Tensor) -> dict[str, Tensor]:
        total = {name: torch.zeros_like(parameter) for name, parameter in self.parameters.items()}
        for tokens_WL in tokens_NWL[0].split(self.pass_sequences):
            loss = self._losses(tokens_WL).sum() / tokens_NWL.shape[1]
            parameters = list(self.parameters.values())
            grads = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
            for value, grad in zip(total.values(), grads, strict=True):
                value.add_(grad)
        return total

    def _losses(self, tokens_WL: Tensor) -> Tensor:
        """Mean loss of each window, nats per predicted token -> (W,)."""
        tokens_WL = tokens_WL.to(self._device)
        logits, targets = self._logits(tokens_WL[:, :-1].clamp(min=0)), tokens_WL[:, 1:]
        losses = token_losses(logits.flatten(0, 1)[None], None, targets.reshape(1, -1)).view(targets.shape)
        return losses.sum(1) / (targets != IGNORED).sum(1).clamp(min=1)

    def _logits(self, ids_WL: Tensor) -> Tensor:
        held = self.parameters if self._held is None else self._held
        weights = {name: value[0] for name, value in held.items()} | self._untrained
        output = functional_call(self.forward, weights, kwargs={"input_ids": ids_WL})
        if (logits := output_field(output, "logits")) is None:
            raise InputError(f"{type(self.forward.model).__name__} gives no `logits`, expected those of a causal LM")
        return logits

    @property
    def _device(self) -> torch.device:
        return next(iter(self.trained.values())).device


class _OwnForward(nn.Module):
    """A model's own forward pass, past what a trainer's mixed precision and hooks have put around it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, **inputs: Any) -> Any:
        own = getattr(self.model, "_original_forward", self.model.forward)  # the name is Accelerate's
        taken = inspect.signature(own).parameters
        if "use_cache" in taken or any(kind.kind is kind.VAR_KEYWORD for kind in taken.values()):
            inputs["use_cache"] = False
        return own(**inputs)


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
        """Measure this model from now on. InputError: it is sharded, or sees the tokens that it is to predict."""
        self._model = ExternalModel(model, 0.5 ** (1 / self.half_life), self.pass_sequences)
        self.num_params = sum(parameter.numel() for parameter in self._model.trained.values())
        with self._model.measuring():
            self._model.check_causal(self.windows.corpus.vocab_size, self.windows.context)

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

    def evaluate(self, ids: Ids, averaged: bool) -> Floats:
        with self.measured_model.measuring():
            return super().evaluate(ids, averaged)

    def influence(self, reference: Ids, weight: Floats, probe: Ids, stride: int) -> tuple[Floats, Floats, Floats]:
        with self.measured_model.measuring():
            return super().influence(reference, weight, probe, stride)

    def learning_rate(self) -> Floats:
        return np.array([self.lr_fraction])

    def state_dict(self) -> dict[str, NDArray]:
        """The running average; the trainer saves the weights themselves."""
        return {f"average.{name}": value.cpu().numpy() for name, value in self.measured_model.average.items()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        for name, value in self.measured_model.average.items():
            value.copy_(torch.from_numpy(state[f"average.{name}"]))
