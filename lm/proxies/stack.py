"""ProxyStack: N small causal language models trained as one program."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PretrainedConfig

from ..backend import Floats, Ids
from ..cores import torch_threads, usable_cores
from ..corpus.windows import Windows
from ..device import usable_device
from ..models.causal_lm import new_model, num_parameters
from ..models.causality import check_causal
from ..models.training import TrainConfig
from .shard import Shard

# Of a shard on a CPU, which has at least one model. Measured on two cores: tokens/s of 16 models with 2 and 8 a shard,
# over those with 4: at .08 million parameters a model .79 and 1.17 (in bfloat16 .73 and 1.24); at .2 million .92 and
# 1.04 (.82 and 1.11); at 1 million .99 and .94 (1.02 and .95).
MOST_MODELS, MOST_PARAMETERS = 8, 2_400_000


class ProxyStack:
    """A backend of `num_slots` models of one transformers config, in shards that threads work on side by side.

    On a CPU a shard has at most eight models and one thread, as long as there are as many shards as cores; on a GPU
    there is one shard. A model's result depends neither on how many models there are nor on its slot: bit for bit on
    the x86-64 CPUs it was tested on (the tests allow 1e-6 nats), where every operation rounds a model's numbers in the
    same way beside any others. Where rounding depends on the size of the batch, as on GPUs, a run whose influence feeds
    back drifts: by .07 nats at the end of a default episode, in a trial where the rounding of one norm differed."""

    def __init__(
        self, config: PretrainedConfig, windows: Windows, train: TrainConfig, num_slots: int, device: str = "cpu"
    ) -> None:
        on_cpu = usable_device(device).type == "cpu"
        self.config, self.windows, self.train_config, self.num_slots = config, windows, train, num_slots
        self.device = device
        check_causal(new_model(config, 0), windows.corpus.vocab_size, windows.context)
        num_threads = usable_cores()
        self.num_params = num_parameters(config)
        most = max(1, min(MOST_MODELS, MOST_PARAMETERS // self.num_params))
        rounds = -(-num_slots // (num_threads * most))
        num_shards = min(num_slots, num_threads * rounds) if on_cpu else 1
        decay = 0.5 ** (1 / train.average_half_life)
        self.parts = [part for part in np.array_split(np.arange(num_slots), num_shards) if len(part)]
        self.shards = [Shard(config, train.optimizer, len(part), decay, device, train.products) for part in self.parts]
        self.steps_N, self.lr_scale_N = np.zeros(num_slots, np.int64), np.ones(num_slots)
        self._pool = ThreadPoolExecutor(min(num_threads, num_shards))
        self._threads_each = max(1, num_threads // len(self.shards))

    def _each(self, work: Callable[[Shard, Any], Any]) -> list[Any]:
        """`work(shard, its slots)` for every shard, in threads, results in slot order. A single shard runs in the
        caller's thread: with a second team of OpenMP threads, both teams sleep at every barrier (a step of a model of a
        million parameters then takes 1.3 times as long)."""

        def run(shard: Shard, part: NDArray[np.intp]) -> Any:
            torch.set_num_threads(self._threads_each)
            return work(shard, part)

        each = map if len(self.shards) == 1 else self._pool.map
        with torch_threads(self._threads_each):
            return list(each(run, self.shards, self.parts))

    def _fetch(self, ids: Ids) -> Tensor:
        return self._on_device(torch.from_numpy(self.windows.fetch(ids)))

    def _on_device(self, tensor: Tensor) -> Tensor:
        """The tensor where the models are. The copy is asynchronous, so that a GPU never waits for this process."""
        on_gpu = torch.device(self.device).type == "cuda"
        return tensor.pin_memory().to(self.device, non_blocking=True) if on_gpu else tensor.to(self.device)

    def start(self, slot: int, seed: int, lr_scale: float = 1.0) -> None:
        for shard, part in zip(self.shards, self.parts, strict=True):
            if slot in part:
                shard.start(slot - part[0], seed)
        self.steps_N[slot], self.lr_scale_N[slot] = 0, lr_scale

    def learning_rate(self) -> Floats:
        return self.train_config.schedule.fraction(self.steps_N)

    def train(self, ids: Ids, active: NDArray[np.bool_]) -> Floats:
        """As `Backend.train`: one optimiser step of every active model for each column of ids."""
        num_steps = ids.shape[1]
        fractions = self.train_config.schedule.fraction(self.steps_N[:, None] + np.arange(num_steps))
        fractions *= self.lr_scale_N[:, None]

        def work(shard: Shard, part: NDArray[np.intp]) -> Tensor:
            if not active[part].any():
                return torch.zeros(len(part))
            tokens = self._fetch(ids[part])  # all steps at once: none of them waits for the host
            rates = self._on_device(torch.from_numpy(fractions[part]).float())
            total = torch.zeros(len(part), device=self.device)
            with shard.frozen(np.flatnonzero(~active[part])):
                for step in range(num_steps):
                    total += shard.train_step(tokens[:, step], rates[:, step])
            return (total / num_steps).cpu()

        losses = torch.cat(self._each(work)).double().numpy()
        self.steps_N[active] += num_steps
        return np.where(active, losses, np.nan)

    def evaluate(self, ids: Ids, averaged: bool) -> Floats:
        """As `Backend.evaluate`: the loss of each window, of the running average of the weights or of themselves."""

        def work(shard: Shard, part: NDArray[np.intp]) -> Tensor:
            tokens = self._fetch(ids[part])
            if not averaged:
                return shard.evaluate(tokens).cpu()
            with shard.holding(shard.average):
                return shard.evaluate(tokens).cpu()

        return torch.cat(self._each(work)).double().numpy()

    def influence(self, reference: Ids, weight: Floats, probe: Ids, stride: int) -> tuple[Floats, Floats, Floats]:
        """As `Backend.influence`: how much a small step on each probe window lowers the reference loss."""

        def work(shard: Shard, part: NDArray[np.intp]) -> tuple[Tensor, ...]:
            group_weight = self._on_device(torch.from_numpy(weight[part]).float())
            tokens = self._fetch(reference[part]), group_weight, self._fetch(probe[part])
            return tuple(x.cpu() for x in shard.influence(*tokens, self.train_config.influence_step, stride))

        influence, loss, by_group = (
            torch.cat(pieces).double().numpy() for pieces in zip(*self._each(work), strict=True)
        )
        return influence, loss, by_group

    def state_dict(self) -> dict[str, NDArray]:
        state = {"steps": self.steps_N.copy(), "lr_scale": self.lr_scale_N.copy()}
        for name in self.shards[0].parameters:
            state[f"weight.{name}"] = _join([shard.parameters[name].data for shard in self.shards])
            state[f"average.{name}"] = _join([shard.average[name] for shard in self.shards])
        for name in self.shards[0].optimizer.state:
            state[f"optimizer.{name}"] = _join([shard.optimizer.state[name] for shard in self.shards])
        return state

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.steps_N, self.lr_scale_N = state["steps"].copy(), state["lr_scale"].copy()
        for shard, part in zip(self.shards, self.parts, strict=True):
            shard.optimizer.steps_N = torch.from_numpy(self.steps_N[part]).to(shard.optimizer.steps_N)
            for name, parameter in shard.parameters.items():
                parameter.data.copy_(torch.from_numpy(state[f"weight.{name}"][part]))
                shard.average[name].copy_(torch.from_numpy(state[f"average.{name}"][part]))
            for name, value in shard.optimizer.state.items():
                value.copy_(torch.from_numpy(state[f"optimizer.{name}"][part]))

    def save_pretrained(self, slot: int, folder: Path) -> None:
        """Write the model in `slot` as a normal transformers folder (config.json, model.safetensors)."""
        model = new_model(self.config, 0)
        weights = dict(model.named_parameters())
        for shard, part in zip(self.shards, self.parts, strict=True):
            if slot in part:
                for name, parameter in shard.parameters.items():
                    weights[name].data.copy_(parameter.data[slot - part[0]])
        model.save_pretrained(folder)


def _join(pieces: list[Tensor]) -> NDArray:
    return torch.cat([piece.detach().cpu() for piece in pieces]).numpy().copy()
