"""Target: one large causal language model in training, on one device or on many."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PretrainedConfig

from ..backend import Floats, Ids
from ..corpus.windows import Windows
from ..models.causal_lm import new_model, num_parameters, ready_model
from ..models.causality import check_causal
from ..models.engine_config import EngineConfig
from ..models.single_model import SingleModelBackend
from ..models.training import TrainConfig
from ..proxies.attention import take_causal_attention
from .checkpoints import Piece
from .packing import pack
from .placement import Sharded
from .ranks import Ranks
from .target_model import TargetModel


class Target(SingleModelBackend):
    """A backend of one model of any transformers config, fresh or with the weights in `origin`. The whole model must
    fit one device, if only until its tensors are distributed over the ranks.

    All ranks call every method with the same arguments; each trains on its share of every batch, and all get the same
    results. The training data does not depend on the number of ranks. Losses depend on it by rounding (in the tests
    within 2e-3 nats after 40 steps of a run whose influence feeds back), and so does what follows from them."""

    def __init__(
        self,
        config: PretrainedConfig,
        windows: Windows,
        train: TrainConfig,
        engine: EngineConfig,
        device: str = "cpu",
        origin: Path | None = None,
    ) -> None:
        self.config, self.windows, self.train_config, self.engine = config, windows, train, engine
        self.influence_step, self.origin, self.ranks = train.influence_step, origin, Ranks(device)
        self.num_params = num_parameters(config)
        self.steps_N, self.lr_scale_N = np.zeros(1, np.int64), np.ones(1)
        self.model = self._build(0)
        self._fresh_seed: int | None = 0  # the seed of untrained weights, None once they have changed

    def _build(self, seed: int) -> TargetModel:
        decay, train = 0.5 ** (1 / self.train_config.average_half_life), self.train_config
        model = ready_model(self.config, seed, self.origin, self.engine)
        check_causal(model, self.windows.corpus.vocab_size, self.windows.context)
        take_causal_attention(model, self.windows.context)
        return TargetModel(model, self.engine, train.optimizer, decay, self.ranks, train.products)

    def start(self, slot: int, seed: int, lr_scale: float = 1.0) -> None:
        if seed != self._fresh_seed:
            del self.model  # first, so that memory never holds two
            gc.collect()  # FSDP's hooks and modules refer to each other
            self.model, self._fresh_seed = self._build(seed), seed
        self.steps_N[:], self.lr_scale_N[:] = 0, lr_scale

    def learning_rate(self) -> Floats:
        return self.train_config.schedule.fraction(self.steps_N)

    def train(self, ids: Ids, active: NDArray[np.bool_]) -> Floats:
        if not active[0]:
            return np.full(1, np.nan)
        self._fresh_seed, total = None, torch.zeros((), device=self.ranks.device)
        for ids_W in self.ranks.broadcast(ids[0]):
            fraction = float((self.learning_rate() * self.lr_scale_N)[0])
            total += self.model.train_step(*self._share(ids_W), fraction)
            self.steps_N += 1
        return self.ranks.sum(total).cpu().double().numpy()[None] / ids.shape[1]

    def _share(self, ids_W: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[list[int]], int]:
        """This rank's share of a global batch: tokens of its windows, its sequences of them, and how many tokens the
        global batch predicts. The global batch is packed, so that its sequences do not depend on the ranks."""
        length_W = self.windows.lengths(ids_W) - 1
        if self.engine.packing == "none":
            packed = [[window] for window in range(len(ids_W))]
        else:
            packed = pack(length_W, self.windows.context - 1)
        own = [packed[sequence] if sequence >= 0 else [] for sequence in self.ranks.own(len(packed))]
        place = {window: place for place, window in enumerate(window for sequence in own for window in sequence)}
        tokens_WL = self.windows.fetch(ids_W[list(place)])
        return tokens_WL, [[place[window] for window in sequence] for sequence in own], max(int(length_W.sum()), 1)

    @property
    def measured_model(self) -> TargetModel:
        return self.model

    def fetch(self, ids: Ids) -> Tensor:
        """Tokens of the windows that rank 0 asks for: by rounding the ranks' ids may differ."""
        return super().fetch(self.ranks.broadcast(ids))

    # -- state ----------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """All that training changes: (1, *shape), or this rank's share of it."""
        model = self.model
        named = {f"weight.{name}": parameter.data for name, parameter in model.parameters.items()}
        named |= {f"average.{name}": value for name, value in model.average.items()}
        return named | {f"optimizer.{name}": value for name, value in model.optimizer.state.items()}

    def pieces(self) -> dict[str, Piece]:
        """What this rank saves of `tensors`, without their first axis: its share of each, or some of them in full."""
        pieces = {name: Piece(value[0], *self._place(name)) for name, value in self.tensors().items()}
        if isinstance(self.model.placement, Sharded):
            return {name: piece for name, piece in pieces.items() if len(piece.rows)}
        return dict(list(pieces.items())[self.ranks.rank :: self.ranks.count])

    def load_pieces(self, read: Callable[[str, int, int], Tensor]) -> None:
        """Restore `tensors` from `read(name, first row, end)`."""
        self._fresh_seed = None
        for name, value in self.tensors().items():
            first, _ = self._place(name)
            if not len(value[0]):
                continue  # the tensor has fewer rows than there are ranks
            value[0].copy_(read(name, first, first + len(value[0])))

    def _place(self, name: str) -> tuple[int, int]:
        """(first row of a tensor on this rank, rows of the full tensor)."""
        parameter = name.removeprefix("optimizer.").split(".", 1)[1]
        total = self.model.shapes[parameter][0]
        return self.model.placement.rows(total).start, total

    @property
    def clock(self) -> NDArray[np.float64]:
        """Steps of the schedule and of the optimiser, and the scale of the learning rate."""
        return np.array([self.steps_N[0], float(self.model.optimizer.steps_N[0]), self.lr_scale_N[0]])

    @clock.setter
    def clock(self, reading: NDArray[np.float64]) -> None:
        self.steps_N[:], self.lr_scale_N[:] = int(reading[0]), reading[2]
        self.model.optimizer.steps_N.fill_(float(reading[1]))

    def state_dict(self) -> dict[str, NDArray]:
        state = {name: self._gathered(name, value).numpy() for name, value in self.tensors().items()}
        return state | {"clock": self.clock[None]}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.load_pieces(lambda name, first, end: torch.from_numpy(state[name][0, first:end]))
        self.clock = state["clock"][0]

    def _gathered(self, name: str, value: Tensor) -> Tensor:
        """The full tensor, (1, *shape), on the CPU."""
        _, total = self._place(name)
        if not isinstance(self.model.placement, Sharded):
            return value.cpu().clone()
        each = -(-total // self.ranks.count)
        padded = torch.nn.functional.pad(value[0], (0, 0) * (value.ndim - 2) + (0, each - value.shape[1]))
        return self.ranks.gather(padded, total)[None].cpu()

    def save_pretrained(self, folder: Path) -> None:
        """Write the model as a normal transformers folder (config.json, model.safetensors). Only rank 0 writes."""
        weights = {}
        for name, value in self.model.parameters.items():
            whole = self._gathered(f"weight.{name}", value.data)
            if self.ranks.first:  # the others keep none, since a machine has several ranks
                weights[name] = whole[0]
        if self.ranks.first:
            model = new_model(self.config, 0)
            for name, parameter in model.named_parameters():
                parameter.data.copy_(weights[name])
            model.save_pretrained(folder)
