"""ConsoleCallback: a policy drives the data of an ordinary `transformers.Trainer` run."""

import inspect
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, default_collate
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..env.datasets.batch_plan import BatchPlan
from ..env.datasets.posted_dataset import PostedDataset
from ..env.episode import WARMUP, Episode
from ..env.episode_config import EpisodeConfig
from ..env.resumption import resume, state_of
from ..env.scenarios.pool import whole_corpus_scenario
from ..env.scenarios.task import Task
from ..lm.backend import Ids
from ..lm.io.array_file import read_arrays, write_arrays
from ..lm.io.errors import InputError
from ..lm.io.state import nested, under
from ..lm.proxies.head_loss import IGNORED
from ..lm.target.external import ExternalBackend, output_field
from ..lm.target.ranks import Ranks
from .base import Policy
from .trials.store import result_of
from .trials.trial import Trial, TrialConfig, TrialResult
from .trials.verdict import refusal, told

ACTIVE = np.ones(1, bool)
CURES = (  # of a policy that lost its trial
    "give another policy (compare tells which gains here), or more reference text; to try none give trial=False, to "
    "let it drive all the same anyway=True"
)
# 5: without the part whose loss counts, 4: without the steering text, 3: without the corpus, 2: without the intervals;
# earlier ones have no number.
FILE, SCHEMA = "console.safetensors", 6
# What else a Trainer's arguments must be, the default first, and why.
EXPECTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "ignore_data_skip": ((True,), "a run that goes on must skip no batches, for the console finds its place by itself"),
    "train_sampling_strategy": (("random",), "the console gives the order of the text"),
    "group_by_length": ((False,), "the console gives the order of the text"),
    "data_seed": ((None,), "the order of the text follows the console's own seed"),
    "auto_find_batch_size": ((False,), "an episode's steps have a fixed number of windows"),
    "n_gpu": ((1, 0), "start one process a GPU, with torchrun"),
    "fsdp": ((None, False, "", []), "each rank measures the whole model, so use DDP"),
    "deepspeed": ((None,), "each rank measures the whole model, so use DDP"),
}


class ConsoleCallback(TrainerCallback):
    """One Episode around a Trainer's own steps: what a policy sees and does is what it saw and did on proxies.

    Give the Trainer `train_dataset=console.dataset`, then `attach` it. The Trainer is an ordinary one: with a loss of
    its own, mixed precision, weights in bfloat16 (which are measured in float32), evaluation, gradient checkpointing,
    compiled, or on several ranks, each of which measures for itself (DDP; no sharded models).

    What must be set in its arguments; each is checked here or by `attach`:

    - `max_steps`: the episode's steps; `per_device_train_batch_size` x `gradient_accumulation_steps` x processes: its
      windows of a step. Then the Trainer's steps are the episode's, and its epoch is the one pass over them.
    - `ignore_data_skip=True`: on resume the console gives the windows that are due, none is to be skipped.
    - `train_sampling_strategy`, `data_seed`: left alone, since the console orders the text; `seed` here is its seed.
    - `auto_find_batch_size`, `fsdp`, `deepspeed`: off. Several GPUs: one process each (`torchrun`).

    Memory, on every rank: four bytes a trained weight, and while the model is measured twelve more and `measuring_gib`
    for the activations of a pass (at least one window's), in float32 without gradient checkpointing, whatever the
    Trainer has. Products of float32 are rounded to TF32 where the Trainer's are (`tf32` in its arguments).

    Of the other dataloader settings those for workers and memory hold; those for batches and columns
    (`dataloader_drop_last`, `accelerator_config`, a data collator) have nothing to do here, for the windows come whole,
    in full batches. With `remove_unused_columns` the model gets the columns that its forward names.

    `reference`: weight of each reference task (default: all the same); `seed`: of the order of the text.
    `intervals`: what each interval came to, as in a run's metrics. The training loss there is the mean cross entropy of
    the text, whatever loss the Trainer lowers: the model's own where it is given labels, else that of its logits.
    The console's state is saved with every checkpoint of the Trainer; `resume_from_checkpoint` goes on exactly, with
    all `intervals`; or, with a warning, on a corpus that was built anew with more documents (see `CorpusChange`), also
    without some that are gone if `drop_removed`. InputError: at the end of an interval in which the model diverged.

    `trial=True` (or a TrialConfig) tries the policy against natural on proxies of this corpus before the first step of
    a run that begins, which takes once about a minute on two cores with the corpus's default vocabulary of 512
    tokens, and 40 minutes with 32 thousand (see TrialConfig): what it came to is a warning, `tried`, and a line of the
    Trainer's log history, with the seconds. InputError: the policy lost to natural, unless `anyway`."""

    def __init__(
        self,
        task: Task,
        config: EpisodeConfig,
        policy: Policy,
        args: TrainingArguments,
        reference: dict[str, float] | None = None,
        seed: int = 0,
        drop_removed: bool = False,
        trial: TrialConfig | bool = False,
        anyway: bool = False,
        measuring_gib: float = 4.0,
    ) -> None:
        if not measuring_gib > 0:
            raise InputError(f"measuring_gib is {measuring_gib}, expected above 0")
        self.task, self.policy, self.seed, self.drop_removed = task, policy, seed, drop_removed
        self.trial, self.anyway, self.reference = TrialConfig() if trial is True else trial, anyway, reference or {}
        self.tried: TrialResult | None = None  # on rank 0
        self.scenario = whole_corpus_scenario(task, config.budget_tokens(task.context), reference or {})
        _check_arguments(args, config)
        accumulated = args.gradient_accumulation_steps
        self.args, self.ranks = args, Ranks(str(args.device))
        half_life = max(1.0, config.steps_per_interval / 2)
        self.backend = ExternalBackend(task.windows, half_life, int(measuring_gib * 2**30))
        self.episode = Episode(task, self.backend, config)
        plan = BatchPlan(
            config.batch_windows, config.steps_per_interval, config.warmup_steps, 1 + config.num_intervals,
            loader_batch=config.batch_windows // (accumulated * args.world_size), rank=args.process_index,
            world_size=args.world_size,
        )  # fmt: skip
        self.dataset = PostedDataset(task.windows, plan)
        self._begin = self.dataset.state_at(0)
        self._posted: Ids = np.zeros(0, np.int64)  # the windows of the block in hand, all ranks'
        self._step = 0  # in hand, counted from 0
        self.intervals: list[dict[str, Any]] = []
        # Sum of the losses, nats, and number of predicted tokens, (2,): of the pass in hand, this rank's.
        self._pass_loss: Tensor | None = None
        self._losses: list[Tensor] = []  # of the step's passes so far
        self._loss_sum = 0.0  # of the interval's steps, all ranks'
        self._hook: Any = None
        policy.reset(task.agent_names, 1)

    def attach(self, trainer: Any) -> None:
        """Have `trainer` call back, and take its batches as the console gives them: the loader that a Trainer makes for
        itself asks for one batch too many before a decision is made. InputError: it has other arguments or other
        data."""
        if trainer.args is not self.args:
            raise InputError("the Trainer has other arguments than this console: give both the same TrainingArguments")
        if trainer.train_dataset not in (None, self.dataset):
            raise InputError("the Trainer has a train_dataset of its own, expected train_dataset=console.dataset")
        trainer.add_callback(self)
        trainer.get_train_dataloader = lambda: self._dataloader(trainer.model)

    def _dataloader(self, model: Any) -> DataLoader[dict[str, Tensor]]:
        args, workers = self.args, self.args.dataloader_num_workers
        return DataLoader(
            self.dataset,
            self.dataset.plan.batch,
            num_workers=workers,
            collate_fn=partial(_collated, _taken_by(model) if args.remove_unused_columns else None),
            pin_memory=args.dataloader_pin_memory and torch.cuda.is_available(),
            prefetch_factor=args.dataloader_prefetch_factor if workers else None,
            persistent_workers=args.dataloader_persistent_workers and workers > 0,
        )

    # -- called by the Trainer --------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the episode with the Trainer's model, or go on with it where the Trainer does. InputError: the model
        sees the tokens that it is to predict, or the policy loses its trial."""
        self._leave_model()  # a run before this one may have been interrupted
        if self.trial and not state.global_step:
            self._try_policy(self.trial, state)
        self.backend.attach(kwargs["model"])
        # Of a compiled model the hook is no part.
        note_loss = torch.compiler.disable(self._note_loss)
        self._hook = kwargs["model"].register_forward_hook(note_loss, with_kwargs=True)
        self._pass_loss, self._losses, self._step = None, [], state.global_step
        if state.global_step:
            self._restore(_folder(args, state) / FILE, state.global_step)
            return
        self.intervals, self._loss_sum = [], 0.0
        self.policy.reset(self.task.agent_names, 1)
        self.dataset.load_state_dict(self._begin)
        active = self.episode.enter([0], [self.scenario], [self.seed])
        self._post(0, self.episode.draw(None, active))

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A pass whose gradients are accumulated is over."""
        self._end_pass()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Follow the weights; at the end of an interval measure, decide, and give out the next one's windows."""
        state.epoch = state.global_step / state.max_steps  # a Trainer that skips no batches counts from the resume
        self._end_pass()
        self._step = state.global_step
        self.backend.measured_model.update_average()
        total, count = self.ranks.sum(torch.stack(self._losses).sum(0)).tolist()
        self._loss_sum += total / max(count, 1)
        self._losses = []
        group = kwargs["optimizer"].param_groups[0]
        # Schedules that react to the loss have no initial rate.
        self.backend.lr_fraction = float(group["lr"]) / max(group.get("initial_lr", args.learning_rate), 1e-30)
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
        arrays = state_of(self.episode) | nested("backend", self.backend.state_dict())
        arrays |= nested("policy", self.policy.state_dict())
        source = self.dataset.state_at(state.global_step)
        arrays |= {"posted": source["posted"].numpy(), "block": np.array(source["block"])}
        arrays |= {"loss_sum": np.array(self._loss_sum)}
        about = {"seed": int(self.seed), "intervals": self.intervals}
        write_arrays(_folder(args, state) / FILE, arrays, about, SCHEMA)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the Trainer's model alone."""
        self._leave_model()

    # ---------------------------------------------------------------------------------------------------------------

    def _try_policy(self, config: TrialConfig, state: TrainerState) -> None:
        """Rank 0 tries the policy, and tells. InputError: it loses, on all ranks."""

        def tried() -> TrialResult:
            clock, name = self.episode.config, self.policy.name
            result = result_of(Trial.before(self.task, clock, name, self.policy, config, self.reference))
            if (why := refusal(result, CURES)) is not None and not self.anyway:
                raise InputError(why)
            return result

        try:
            self.tried = result = self.ranks.on_first(tried)
        except InputError as error:
            raise InputError(_in_python(str(error))) from None
        except SystemExit:
            raise InputError("the policy's trial ended the run on rank 0, whose line says why") from None
        if result is not None:
            warnings.warn(f"{_in_python(told(result))}; it took {result.seconds:.0f} seconds", stacklevel=2)
            figures = {"trial_gain_nats": result.gain.nats, "trial_seconds": result.seconds}
            state.log_history.append(figures | {"step": 0.0})

    def _post(self, block: int, ids: Ids) -> None:
        self._posted = self.ranks.broadcast(ids.ravel())  # or rounding could part the ranks
        self.dataset.post(block, self._posted)

    def _leave_model(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    @torch.no_grad()
    def _note_loss(self, module: Any, inputs: Any, kwargs: dict[str, Any], output: Any) -> None:
        """Keep what a pass came to. A model that is told how many tokens the whole step has divides by them, any other
        by those of the pass."""
        if not module.training:
            return
        ids_W = self._pass_windows()
        count = int(self.task.windows.lengths(ids_W).sum()) - len(ids_W)
        if (loss := output_field(output, "loss")) is not None:
            told = kwargs.get("num_items_in_batch")
            total = loss.float() * (count if told is None else told)
        elif (logits := output_field(output, "logits")) is not None:
            total = _cross_entropy(logits, torch.from_numpy(self.task.windows.fetch(ids_W)).to(logits.device))
        else:
            return
        self._pass_loss = torch.stack([total, torch.full_like(total, count)])

    def _pass_windows(self) -> Ids:
        """The windows of the pass in hand, this rank's."""
        plan = self.dataset.plan
        _, place = plan.locate(self._step * plan.rank_windows + len(self._losses) * plan.batch)
        return self._posted[place : place + plan.batch]

    def _end_pass(self) -> None:
        if self._pass_loss is None:
            raise InputError(
                f"the Trainer's model gave neither `loss` nor `logits` in step {self._step + 1}, expected one of them: "
                "have compute_loss call the model as a whole, in training mode"
            )
        self._losses.append(self._pass_loss)
        self._pass_loss = None

    def _measure(self, block: int) -> None:
        """What training on a block came to. InputError: the model diverged."""
        plan = self.dataset.plan
        train_loss_N = np.array([self._loss_sum / (plan.first_step(block + 1) - plan.first_step(block))])
        self._loss_sum = 0.0
        if not np.isfinite(train_loss_N).all():
            self._refuse_divergence(block)
        interval = self.episode.measure(train_loss_N)
        if interval.diverged_N[0]:
            self._refuse_divergence(block)
        if interval.number_N[0] == WARMUP:
            return
        weights = dict(zip(self.task.agent_names, map(float, interval.weights_NK[0]), strict=True))
        row = {"tokens": int(interval.tokens_N[0]), "train_loss_nats": float(train_loss_N[0])}
        self.intervals.append(row | {"validation_loss_nats": float(interval.loss_N[0]), "weights": weights})

    def _refuse_divergence(self, block: int) -> None:
        half = torch.float16 in {parameter.dtype for parameter in self.backend.measured_model.trained.values()}
        raise InputError(
            f"the Trainer's model under '{self.policy.name}' diverged by step {self.dataset.plan.first_step(block + 1)}"
            ": its loss is not finite; lower learning_rate"
            + (", and load it in float32 or bfloat16, for weights in float16 overflow" if half else "")
        )

    def _restore(self, path: Path, step: int) -> None:
        if not path.is_file():
            raise InputError(f"{path} is missing, expected the console's state beside the Trainer's checkpoint")
        about, arrays = read_arrays(path, SCHEMA, "resume from the Trainer's checkpoint before it")
        if about["seed"] != self.seed:
            raise InputError(f"{path} is of seed {about['seed']}, this console of {self.seed}")
        plan = self.dataset.plan
        change = resume(self.episode, arrays, self.drop_removed, step - plan.first_step(plan.block_at(step)))
        if change is not None:
            warnings.warn(change.told, stacklevel=2)
        self.backend.load_state_dict(under("backend", arrays))
        self.policy.load_state_dict(under("policy", arrays))
        self._loss_sum, self.intervals = float(arrays["loss_sum"]), about["intervals"]
        own = self.dataset.state_at(0)
        own |= {"begun": step * plan.rank_windows}
        in_hand = self.episode.in_hand  # None at the run's end, where the last windows have been read
        self._posted = arrays["posted"] if in_hand is None else in_hand.windows.ravel()
        own |= {"block": int(arrays["block"]), "posted": torch.from_numpy(self._posted)}
        self.dataset.load_state_dict(own)


def _in_python(line: str) -> str:
    """A line about a trial that names options of the command line, for those who call from Python."""
    line = line.replace("(--no-trial)", "(trial=False)").replace("optimizer.muon-lr", "optimizer.muon_lr")
    return line.replace("--trial.", "TrialConfig.")


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    assert args.output_dir is not None
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"


def _check_arguments(args: TrainingArguments, config: EpisodeConfig) -> None:
    """InputError: an argument of the Trainer does not go with the episode."""
    if args.max_steps != config.total_steps:
        raise InputError(f"max_steps is {args.max_steps}, expected the episode's: give max_steps={config.total_steps}")
    for name, (accepted, why) in EXPECTED.items():
        if (value := getattr(args, name, accepted[0])) not in accepted:
            raise InputError(f"{name} is {value!r}, expected {accepted[0]!r}: {why}")
    parts = args.per_device_train_batch_size, args.gradient_accumulation_steps, args.world_size
    if (windows := int(np.prod(parts))) != config.batch_windows:
        raise InputError(
            f"per_device_train_batch_size {parts[0]} x gradient_accumulation_steps {parts[1]} x {parts[2]} processes "
            f"is {windows} windows a step, expected the episode's: give a product of {config.batch_windows}"
        )


def _taken_by(model: Any) -> set[str] | None:
    """The columns that a model's forward names, and the labels, which a Trainer may take out; None: it takes all."""
    parameters = inspect.signature(model.forward).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return None if takes_all else {*parameters, "labels"}


def _collated(names: set[str] | None, items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of items, of their columns `names`, or all of them."""
    kept = [{name: item[name] for name in item if names is None or name in names} for item in items]
    return dict(default_collate(kept))


def _cross_entropy(logits: Tensor, targets_WL: Tensor) -> Tensor:
    """Of logits (W, L, vocabulary), summed over all predicted tokens, nats; window by window, since in float32 logits
    are large."""
    total = torch.zeros((), device=logits.device)
    for window_logits, targets_L in zip(logits, targets_WL, strict=True):
        total += F.cross_entropy(window_logits[:-1].float(), targets_L[1:], reduction="sum", ignore_index=IGNORED)
    return total
