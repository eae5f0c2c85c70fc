"""The obvious way to train proxies: a process each, a plain transformers model in each, torch's optimisers on it.

At its best: there are no more processes than cores, they are started and warm before anything is timed, and they train
on command. Muon is torch's, which orthogonalises in bfloat16 (many CPUs only emulate it), or this project's on the one
model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig

from ...lm.backend import Floats, Ids, Schedule
from ...lm.corpus.corpus import Corpus
from ...lm.corpus.windows import Windows
from ...lm.models.causal_lm import new_model
from ...lm.models.optimizer import StackedOptimizer
from ...lm.models.optimizer_config import OptimizerConfig

MUONS = ("torch", "own") if hasattr(torch.optim, "Muon") else ("own",)


@dataclass(frozen=True)
class Job:
    """What a process trains: a model of `config` on windows of `context` tokens of the corpus in `folder`."""

    config: PretrainedConfig
    folder: Path
    context: int
    optimizer: OptimizerConfig
    schedule: Schedule
    device: str = "cpu"
    products: torch.dtype = torch.float32


class PlainModel:
    """One transformers model in a training loop of its own; muon: whose implementation, one of MUONS."""

    def __init__(self, job: Job, muon: str, seed: int) -> None:
        self.job, self.muon, self.step = job, muon, 0
        self.windows = Windows(Corpus.open(job.folder), job.context)
        self.model = new_model(job.config, seed).eval().to(job.device)
        lookups = [module for module in self.model.modules() if isinstance(module, nn.Embedding)]
        sparse = {id(table.weight) for table in [*lookups, self.model.get_output_embeddings()]}
        tables = {name for name, p in self.model.named_parameters() if id(p) in sparse}
        parameters = dict(self.model.named_parameters())
        rates = job.optimizer
        if muon == "own":
            # The same memory with a leading axis of one, as the stacked optimiser wants it.
            self.stacked = {name: nn.Parameter(p.data[None]) for name, p in parameters.items()}
            self.own = StackedOptimizer(self.stacked, tables, rates, job.products)
            return
        matrices = [p for name, p in parameters.items() if p.ndim == 2 and name not in tables]
        rest = [p for name, p in parameters.items() if p.ndim != 2 or name in tables]
        self.optimizers: list[Any] = [
            torch.optim.Muon(matrices, lr=rates.muon_lr, weight_decay=0.0, momentum=rates.momentum),
            torch.optim.AdamW(
                rest, lr=rates.adam_lr, betas=rates.adam_betas, eps=rates.epsilon, weight_decay=0.0, fused=True
            ),
        ]

    def train(self, ids: Ids) -> Floats:
        """An optimiser step on each batch of window ids (steps, batch) -> losses (steps,), nats per token."""
        losses = [self._train_step(torch.from_numpy(self.windows.fetch(batch))) for batch in ids]
        return torch.stack(losses).double().cpu().numpy()

    def _train_step(self, tokens_WL: Tensor) -> Tensor:
        tokens_WL = tokens_WL.to(self.job.device)
        with torch.autocast(torch.device(self.job.device).type, self.job.products, self.job.products != torch.float32):
            logits = self.model(input_ids=tokens_WL[:, :-1].clamp(min=0), use_cache=False).logits
        loss = F.cross_entropy(logits.flatten(0, 1).float(), tokens_WL[:, 1:].flatten())
        loss.backward()
        share = float(self.job.schedule.fraction(np.array([self.step]))[0])
        if self.muon == "own":
            for name, parameter in self.model.named_parameters():
                self.stacked[name].grad = parameter.grad[None]
            self.own.step(torch.full((1,), share, device=self.job.device))
        else:
            if self.job.optimizer.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.job.optimizer.clip_norm)
            for optimizer, rate in zip(
                self.optimizers, (self.job.optimizer.muon_lr, self.job.optimizer.adam_lr), strict=True
            ):
                optimizer.param_groups[0]["lr"] = rate * share
                optimizer.step()
        self.model.zero_grad()
        self.step += 1
        return loss.detach()


def serve(pipe: Connection, job: Job, seed: int) -> None:
    """The work of a process: train on every (muon, threads, window ids) that comes through the pipe, and answer with
    losses, seconds and the processor's seconds; until the pipe ends."""
    models: dict[str, PlainModel] = {}
    while True:
        try:
            muon, threads, ids = pipe.recv()
        except EOFError:
            return
        torch.set_num_threads(threads)
        if muon not in models:
            models[muon] = PlainModel(job, muon, seed)
        t0, cpu0 = perf_counter(), process_time()
        losses = models[muon].train(ids)
        pipe.send((losses, perf_counter() - t0, process_time() - cpu0))


@dataclass(frozen=True)
class Way:
    """A naive way: how many processes at a time, threads of each, and whose Muon (one of MUONS)."""

    processes: int
    threads: int
    muon: str

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads} thread{'s' * (self.threads > 1)}, Muon {self.muon}"


class NaiveProxies:
    """The processes; number k trains the model of seed k."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes

    def train(self, way: Way, ids: Ids) -> tuple[Floats, Floats, Floats]:
        """In each of the first `way.processes` at once, ids (processes or more, steps, batch) -> losses (processes,
        steps), and of each process, for one that ends early could begin the next model, seconds and the processor's
        seconds (processes,)."""
        pipes = self._pipes[: way.processes]
        for pipe, of_one in zip(pipes, ids, strict=False):
            pipe.send((way.muon, way.threads, of_one))
        losses, wall_s, cpu_s = zip(*(pipe.recv() for pipe in pipes), strict=True)
        return np.stack(losses), np.array(wall_s), np.array(cpu_s)


@contextmanager
def naive_proxies(job: Job, count: int) -> Iterator[NaiveProxies]:
    """`count` processes, which end with the context, whatever happens inside."""
    spawn, pipes, processes = get_context("spawn"), [], []
    try:
        for seed in range(count):
            ours, theirs = spawn.Pipe()
            pipes.append(ours)
            processes.append(spawn.Process(target=serve, args=(theirs, job, seed), daemon=True))
            processes[-1].start()
            theirs.close()  # so that a process that dies ends the pipe
        yield NaiveProxies(pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()
