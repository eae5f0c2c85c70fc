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
from ..models.causal_lm import ends_in_head, in_place_of_head
from ..models.causality import check_causal, evaluating
from ..models.finite_differences import Differentiable
from ..models.single_model import SingleModelBackend
from ..proxies.head_loss import IGNORED, token_losses, weighted_losses

MOST_SEQUENCES = 64  # of a pass


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
    are in, without dropout, and not changed; every rank measures for itself. InputError: the model is sharded.

    Memory: four bytes a trained weight for the running average, and at most twelve more while the model is measured, in
    any precision. Beside them a pass takes what `fit` was given, and a piece of the logits: see `head_loss`. A model
    that ends in no plain head (see `ends_in_head`) makes the logits of a pass itself."""

    def __init__(self, model: Any, average_decay: float) -> None:
        model = getattr(model, "_orig_mod", model)  # not the compiled one, which would compile again for other weights
        self.forward, self.average_decay, self.pass_sequences = _OwnForward(model), average_decay, 1
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
        self._head: nn.Linear | None = None
        with self.measuring():
            if ends_in_head(model, self._logits):
                self._head = model.get_output_embeddings()
        self._head_name = next((name for name, value in named.items() if self._head and value is self._head.weight), "")

    @torch.no_grad()
    def update_average(self) -> None:
        """Take the weights into the running average; to be called after each step of the trainer."""
        average, weights, share = self.average, self.trained, 1 - self.average_decay
        for name in self._copied:  # one by one: in float32 as well they would take twice their memory
            average[name].lerp_(weights[name].detach().float()[None], share)
        if same := [name for name in weights if name not in self._copied]:
            values = [weights[name].detach()[None] for name in same]
            torch._foreach_lerp_([average[name] for name in same], values, share)

    @property
    def _copied(self) -> set[str]:
        """Names of the trained weights that are not float32."""
        return {name for name, value in self.trained.items() if value.dtype != torch.float32}

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Inside, `evaluate`, `gradient` and `check_causal` can be called, and the weights are those of this moment.
        Autocast is off, and every module in evaluation mode."""
        # Leaves, since the gradients of views would all wait for the end of a backward pass.
        self._leaves = {name: nn.Parameter(value.detach().float()) for name, value in self.trained.items()}
        self.parameters = {name: nn.Parameter(value.data[None]) for name, value in self._leaves.items()}
        self._untrained = {name: value.detach().float() for name, value in self._half.items()}
        try:
            with torch.autocast(self._device.type, enabled=False), evaluating(self.forward):
                yield
        finally:
            self._leaves, self.parameters, self._untrained = {}, {}, {}

    @contextmanager
    def holding(self, weights: dict[str, Tensor]) -> Iterator[None]:
        before, self._held = self._held, weights
        try:
            yield
        finally:
            self._held = before

    @contextmanager
    def moved(self, direction: dict[str, Tensor], factor_N: Tensor) -> Iterator[None]:
        """As of any models; but what is a copy in float32 already is itself moved, and made again afterwards."""
        moved, copied = {}, self._copied
        for name, parameter in self.parameters.items():
            own = parameter.data if name in copied else None
            moved[name] = torch.addcmul(parameter.data, direction[name], factor_N, out=own)
        try:
            with self.holding(moved):
                yield
        finally:
            for name in copied:
                self.parameters[name].data.copy_(self.trained[name].detach()[None])

    def fit(self, context: int, room: int) -> None:
        """Have a pass read as many windows of `context` tokens as take `room` bytes for its gradient, beside weights
        and gradients: at least one. To be called while the model is measured."""
        held = *self.forward.parameters(), *self._leaves.values(), *self._untrained.values()
        weights = {value.untyped_storage().data_ptr() for value in held}
        saved: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            if (storage := tensor.untyped_storage()).data_ptr() not in weights:
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()  # a tensor that held itself would never go

        ids = torch.zeros(1, context - 1, dtype=torch.int64, device=self._device)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            outputs = self._outputs(ids)
        # Of logits there are as many in float32, their logarithms, and their gradient.
        window = sum(saved.values()) + 3 * outputs.numel() * 4
        self.pass_sequences = max(1, min(MOST_SEQUENCES, room // window))

    @torch.no_grad()
    def evaluate(self, tokens_NWL: Tensor) -> Tensor:
        parts = []
        for tokens_WL in tokens_NWL[0].split(self.pass_sequences):
            out, targets = self._read(tokens_WL)
            losses = token_losses(out, self._head_weight, targets.reshape(1, -1)).view(targets.shape)
            parts.append(losses.sum(1) / (targets != IGNORED).sum(1).clamp(min=1))
        return torch.cat(parts)[None]

    def check_causal(self, vocab_size: int, context: int) -> None:
        """InputError: the model sees the tokens that it is to predict."""
        check_causal(self.forward.model, vocab_size, context, self._logits)

    def gradient(self, tokens_NWL: Tensor) -> dict[str, Tensor]:
        leaves = list(self._leaves.values())
        for tokens_WL in tokens_NWL[0].split(self.pass_sequences):
            out, targets = self._read(tokens_WL)
            counted = targets != IGNORED
            weights = counted / counted.sum(1, keepdim=True).clamp(min=1) / tokens_NWL.shape[1]
            loss = weighted_losses(out, self._head_weight, targets.reshape(1, -1), weights.reshape(1, -1))
            torch.autograd.backward(loss.sum(), inputs=leaves)  # to these alone: no second set of gradients
        gradient = {}
        for name, leaf in self._leaves.items():
            gradient[name] = (torch.zeros_like(leaf.data) if leaf.grad is None else leaf.grad)[None]
            leaf.grad = None
        return gradient

    def _read(self, tokens_WL: Tensor) -> tuple[Tensor, Tensor]:
        """What `head_loss` takes of windows, (1, W * (L - 1), ...), and their targets (W, L - 1)."""
        tokens_WL = tokens_WL.to(self._device)
        return self._outputs(tokens_WL[:, :-1].clamp(min=0)).flatten(0, 1)[None], tokens_WL[:, 1:]

    def _outputs(self, ids_WL: Tensor) -> Tensor:
        """Hidden states, or without a plain head logits, (W, L, ...)."""
        if self._head is None:
            return self._logits(ids_WL)
        with in_place_of_head(self._head, lambda hidden: hidden):
            return self._logits(ids_WL)

    def _logits(self, ids_WL: Tensor) -> Tensor:
        weights = self._weights | self._untrained
        output = functional_call(self.forward, weights, kwargs={"input_ids": ids_WL})
        if (logits := output_field(output, "logits")) is None:
            raise InputError(f"{type(self.forward.model).__name__} gives no `logits`, expected those of a causal LM")
        return logits

    @property
    def _weights(self) -> dict[str, Any]:
        """The trained weights that are measured, as the model has them."""
        return self._leaves if self._held is None else {name: value[0] for name, value in self._held.items()}

    @property
    def _head_weight(self) -> Tensor | None:
        """(1, vocabulary, width)."""
        if self._head is None:
            return None
        weights = self._weights | self._untrained
        return weights.get(self._head_name, self._head.weight.detach())[None]

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
    weights; `pass_bytes`: what a pass may take while the model is measured, see `ExternalModel.fit`."""

    def __init__(
        self, windows: Windows, half_life: float, pass_bytes: int = 4 * 2**30, influence_step: float = 1e-3
    ) -> None:
        self.windows, self.half_life = windows, half_life
        self.pass_bytes, self.influence_step = pass_bytes, influence_step
        self.lr_fraction = 1.0  # share of the peak learning rate, of the coming step
        self.num_params = 0  # known once a model is attached
        self._model: ExternalModel | None = None

    def attach(self, model: Any) -> None:
        """Measure this model from now on. InputError: it is sharded, or sees the tokens that it is to predict."""
        self._model = ExternalModel(model, 0.5 ** (1 / self.half_life))
        self.num_params = sum(parameter.numel() for parameter in self._model.trained.values())
        with self._model.measuring():
            self._model.check_causal(self.windows.corpus.vocab_size, self.windows.context)
            self._model.fit(self.windows.context, self.pass_bytes)

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
