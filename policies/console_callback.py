"""ConsoleCallback: a policy drives the data of an ordinary `transformers.Trainer` run."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..env.datasets.batch_plan import BatchPlan
from ..env.datasets.posted_dataset import PostedDataset
from ..env.episode import WARMUP, Episode
from ..env.episode_config import EpisodeConfig
from ..env.scenarios.pool import whole_corpus_scenario
from ..env.scenarios.task import Task
from ..lm.backend import Ids
from ..lm.io.array_file import read_arrays, write_arrays
from ..lm.io.errors import InputError
from ..lm.io.state import nested, under
from ..lm.target.external import ExternalBackend
from ..lm.target.ranks import Ranks
from .base import Policy

ACTIVE = np.ones(1, bool)
FILE, SCHEMA = "console.safetensors", 2  # files of earlier versions have no number


class ConsoleCallback(TrainerCallback):
    """One Episode around a Trainer's own steps: what a policy sees and does is what it saw and did on proxies.

    The Trainer's arguments must make its steps the episode's: `max_steps` its steps, and batches on all devices and
    accumulated that come to its windows. Give the Trainer `train_dataset=console.dataset`, then `attach` it. With
    several ranks each measures for itself (DDP; no sharded models).

    `reference`: weight of each reference task (default: all the same); `seed`: of the order of the text. Its seed and
    its state are saved with every checkpoint of the Trainer; resume with `ignore_data_skip=True`.
    `intervals`: what each interval came to, as in a run's metrics."""

    def __init__(
        self,
        task: Task,
        config: EpisodeConfig,
        policy: Policy,
        args: TrainingArguments,
        reference: dict[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.task, self.policy, self.seed = task, policy, seed
        self.scenario = whole_corpus_scenario(task, config.budget_tokens(task.context), reference or {})
        accumulated = args.gradient_accumulation_steps
        steps = args.per_device_train_batch_size * max(1, args.n_gpu) * accumulated * args.world_size
        if (args.max_steps, steps) != (config.total_steps, config.batch_windows):
            raise InputError(
                f"the Trainer has {args.max_steps} steps of {steps} windows, the episode {config.total_steps} of "
                f"{config.batch_windows}: give max_steps={config.total_steps}, and batches that come to it"
            )
        self.ranks = Ranks(str(args.device))
        self.backend = ExternalBackend(task.windows, max(1.0, config.steps_per_interval / 2))
        self.episode = Episode(task, self.backend, config)
        plan = BatchPlan(
            config.batch_windows, config.steps_per_interval, config.warmup_steps, 1 + config.num_intervals,
            loader_batch=config.batch_windows // (accumulated * args.world_size), rank=args.process_index,
            world_size=args.world_size,
        )  # fmt: skip
        self.dataset = PostedDataset(task.windows, plan)
        self.num_workers = args.dataloader_num_workers
        self.intervals: list[dict[str, Any]] = []
        self._losses: list[torch.Tensor] = []  # of the passes of the step in hand, this rank's
        self._loss_sum = 0.0  # of the interval's steps, all ranks'
        self._hook: Any = None
        policy.reset(task.agent_names, 1)

    def attach(self, trainer: Any) -> None:
        """Have `trainer` call back, and take its batches as the console gives them: the loader that a Trainer makes for
        itself asks for one batch too many before a decision is made."""
        trainer.add_callback(self)
        trainer.get_train_dataloader = self._dataloader

    def _dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        pin = torch.cuda.is_available()
        return DataLoader(self.dataset, self.dataset.plan.batch, num_workers=self.num_workers, pin_memory=pin)

    # -- called by the Trainer --------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the episode with the Trainer's model, or go on with it where the Trainer does."""
        self.backend.attach(kwargs["model"])
        self._hook = kwargs["model"].register_forward_hook(self._note_loss, with_kwargs=True)
        if state.global_step == 0:
            active = self.episode.enter([0], [self.scenario], [self.seed])
            self._post(0, self.episode.draw(None, active))
            return
        if not args.ignore_data_skip:
            raise InputError("the run goes on without ignore_data_skip=True, expected it: the console finds its place")
        self._restore(_folder(args, state) / FILE, state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Follow the weights; at the end of an interval measure, decide, and give out the next one's windows."""
        self.backend.measured_model.update_average()
        self._loss_sum += float(self.ranks.sum(torch.stack(self._losses).sum()))
        self._losses = []
        scheduler = kwargs["lr_scheduler"]
        self.backend.lr_fraction = scheduler.get_last_lr()[0] / max(scheduler.base_lrs[0], 1e-30)
        plan = self.dataset.plan
        if state.global_step != plan.first_step(block := plan.block_at(state.global_step)):
            return
        self._measure(block - 1)
        if not self.episode.done_N[0]:
            weights = self.ranks.broadcast(np.asarray(self.policy.act(self.episode.observe()), np.float64))
            self._post(block, self.episode.draw(weights, ACTIVE))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The console's state beside the Trainer's."""
        if not state.is_world_process_zero:
            return
        arrays = nested("episode", self.episode.state_dict()) | nested("backend", self.backend.state_dict())
        arrays |= nested("policy", self.policy.state_dict())
        source = self.dataset.state_at(state.global_step)
        arrays |= {"posted": source["posted"].numpy(), "block": np.array(source["block"])}
        arrays |= {"loss_sum": np.array(self._loss_sum)}
        write_arrays(_folder(args, state) / FILE, arrays, {"seed": int(self.seed)}, SCHEMA)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the Trainer's model alone."""
        self._hook.remove()

    # ---------------------------------------------------------------------------------------------------------------

    def _post(self, block: int, ids: Ids) -> None:
        self.dataset.post(block, self.ranks.broadcast(ids.ravel()))  # or rounding could part the ranks

    def _note_loss(self, module: Any, inputs: Any, kwargs: dict[str, Any], output: Any) -> None:
        """This pass's part of the step's loss. A model that is told the tokens of the whole step divides by them, so
        that passes and ranks add up; any other gives its pass's mean. Copied: a Trainer multiplies it in place."""
        if module.training and output.loss is not None:
            told = kwargs.get("num_items_in_batch") is not None
            passes = self.dataset.plan.batch_windows // self.dataset.plan.batch
            self._losses.append(output.loss.detach().clone() / (1 if told else passes))

    def _measure(self, block: int) -> None:
        """What training on a block came to."""
        plan = self.dataset.plan
        train_loss_N = np.array([self._loss_sum / (plan.first_step(block + 1) - plan.first_step(block))])
        self._loss_sum = 0.0
        interval = self.episode.measure(train_loss_N)
        if interval.number_N[0] == WARMUP:
            return
        weights = dict(zip(self.task.agent_names, map(float, interval.weights_NK[0]), strict=True))
        row = {"tokens": int(interval.tokens_N[0]), "train_loss_nats": float(train_loss_N[0])}
        self.intervals.append(row | {"validation_loss_nats": float(interval.loss_N[0]), "weights": weights})

    def _restore(self, path: Path, step: int) -> None:
        if not path.is_file():
            raise InputError(f"{path} is missing, expected the console's state beside the Trainer's checkpoint")
        about, arrays = read_arrays(path, SCHEMA, "resume from the Trainer's checkpoint before it")
        if about["seed"] != self.seed:
            raise InputError(f"{path} is of seed {about['seed']}, this console of {self.seed}")
        self.episode.load_state_dict(under("episode", arrays))
        self.backend.load_state_dict(under("backend", arrays))
        self.policy.load_state_dict(under("policy", arrays))
        self._loss_sum = float(arrays["loss_sum"])
        own = self.dataset.state_at(0)
        own |= {"begun": step * self.dataset.plan.rank_windows}
        own |= {"block": int(arrays["block"]), "posted": torch.from_numpy(arrays["posted"])}
        self.dataset.load_state_dict(own)


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    assert args.output_dir is not None
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"
