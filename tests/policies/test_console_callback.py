"""A policy drives a transformers Trainer: the same documents and losses as in a target of ours, also after a resume."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM, BertConfig, Trainer, TrainerCallback, TrainingArguments

from pretraingym.env.episode import Episode
from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.scenarios.pool import whole_corpus_scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus import windows
from pretraingym.lm.corpus.corpus import Corpus, Labels
from pretraingym.lm.corpus.writer import CorpusWriter
from pretraingym.lm.io.array_file import write_arrays
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import new_model
from pretraingym.lm.models.engine_config import EngineConfig
from pretraingym.lm.models.optimizer import StackedOptimizer
from pretraingym.policies.console_callback import ConsoleCallback
from pretraingym.policies.registry import make_policy
from pretraingym.policies.trials.trial import Trial, TrialConfig

CLOCK = EpisodeConfig(
    num_intervals=3, steps_per_interval=6, batch_windows=8, warmup_steps=4, probe_windows=16, reference_windows=8,
    validation_windows=16, final_windows=32,
)  # fmt: skip
SETTING = Setting(width=32, context=128, episode=CLOCK)
SEED, TOLERANCE_NATS = 3, 1e-3


class OurOptimizer(torch.optim.Optimizer):
    """Muon and AdamW as a target has them, for a Trainer."""

    def __init__(self, model: Any, setting: Setting) -> None:
        named = dict(model.named_parameters())
        super().__init__(list(named.values()), {"lr": 1.0})
        self.named = named
        views = {name: torch.nn.Parameter(parameter.detach()[None]) for name, parameter in named.items()}
        tables = {"model.embed_tokens.weight", "lm_head.weight"}
        self.inner = StackedOptimizer(views, tables, setting.optimizer)

    def step(self, closure: Any = None) -> None:
        for name, view in self.inner.parameters.items():
            view.data = self.named[name].detach()[None]  # which DDP has put elsewhere
            view.grad = self.named[name].grad[None]
        self.inner.step(torch.tensor([self.param_groups[0]["lr"]]))

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"inner": self.inner.state, "steps": self.inner.steps_N}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({name: state[name] for name in ("state", "param_groups")})
        for name, value in self.inner.state.items():
            value.copy_(state["inner"][name])
        self.inner.steps_N.copy_(state["steps"])


def arguments(folder: Path, **given: Any) -> TrainingArguments:
    return TrainingArguments(
        str(folder), use_cpu=True, report_to=[], max_grad_norm=0.0, logging_strategy="no", disable_tqdm=True,
        **{"per_device_train_batch_size": CLOCK.batch_windows, "max_steps": CLOCK.total_steps, "save_steps": 5,
           "save_strategy": "steps", "ignore_data_skip": True, **given},
    )  # fmt: skip


def a_model(task: Task) -> Any:
    return new_model(SETTING.model_config(task.corpus.vocab_size), SEED)


def trainer_of(
    task: Task, model: Any, args: TrainingArguments, kind: type[Trainer] = Trainer, **given: Any
) -> tuple[Trainer, ConsoleCallback]:
    """Any Trainer, of any model."""
    console = ConsoleCallback(task, CLOCK, make_policy("lift"), args, {"prose": 1.0}, SEED)
    made = kind(model, args, train_dataset=console.dataset, **given)
    console.attach(made)
    return made, console


def trainer(
    task: Task, folder: Path, kind: type[Trainer] = Trainer, own: dict[str, Any] | None = None, **given: Any
) -> tuple[Trainer, ConsoleCallback]:
    """One that trains as a target of ours does. own: what the Trainer is given besides its arguments."""
    model = a_model(task)
    optimizer, schedule = OurOptimizer(model, SETTING), SETTING.train_config.schedule
    rate = lambda step: float(schedule.fraction(np.array([step]))[0])  # noqa: E731
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return trainer_of(task, model, arguments(folder, **given), kind, optimizers=(optimizer, scheduler), **(own or {}))


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return SETTING.task(tiny_corpus)


@pytest.fixture(scope="module")
def ours(task: Task) -> list[list[float]]:
    """Training and validation loss, and tokens, after each interval of a target under the same policy."""
    episode = Episode(task, SETTING.target(task, EngineConfig(packing="none")), CLOCK)
    policy = make_policy("lift")
    policy.reset(task.agent_names, 1)
    episode.run_interval(
        None, episode.enter([0], [whole_corpus_scenario(task, SETTING.budget_tokens, {"prose": 1.0})], [SEED])
    )
    outcomes = [episode.run_interval(policy.act(episode.observe())) for _ in range(CLOCK.num_intervals)]
    return [[outcome.train_loss_N[0], outcome.loss_N[0], outcome.tokens_N[0]] for outcome in outcomes]


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Trainer looks for trackers and sets threads; nothing of it is to outlive a test."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def curve(console: ConsoleCallback) -> list[list[float]]:
    return [[row["train_loss_nats"], row["validation_loss_nats"], row["tokens"]] for row in console.intervals]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
        {"dataloader_num_workers": 2},
    ],
    ids=["plain", "accumulating", "workers"],
)
def test_a_trainers_losses_are_ours(task: Task, ours: list[list[float]], tmp_path: Path, given: dict[str, Any]) -> None:
    made, console = trainer(task, tmp_path, **given)
    made.train()
    np.testing.assert_allclose(curve(console), ours, atol=TOLERANCE_NATS)


def token_loss(output: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """A loss function of a user's: sum over the tokens that a step predicts."""
    logits = output.logits[:, :-1].flatten(0, 1)
    loss = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten(), reduction="sum")
    return loss / num_items_in_batch


class Popping(Trainer):
    """Takes the labels from the model, whose output then has no loss."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **given: Any) -> Any:
        labels = inputs.pop("labels")
        output = model(**inputs)
        loss = token_loss(output, labels, (labels[:, 1:] != -100).sum())
        return (loss, output) if return_outputs else loss


class Twice(Trainer):
    """Two passes for one loss."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **given: Any) -> Any:
        return (super().compute_loss(model, dict(inputs), **given) + super().compute_loss(model, inputs, **given)) / 2


@pytest.mark.parametrize(
    ("kind", "own", "given"),
    [
        (Trainer, {"compute_loss_func": token_loss}, {}),
        (Popping, {}, {}),
        (Twice, {}, {}),
        (Trainer, {}, {"torch_compile": True, "torch_compile_backend": "eager"}),
        (Trainer, {}, {"activation_checkpointing": True}),
    ],
    ids=["loss-function", "popped-labels", "two-passes", "compiled", "checkpointing"],
)
def test_however_the_trainer_comes_to_its_loss(
    task: Task, ours: list[list[float]], tmp_path: Path, kind: type[Trainer], own: Any, given: Any
) -> None:
    made, console = trainer(task, tmp_path, kind, own, **given)
    made.train()
    np.testing.assert_allclose(curve(console), ours, atol=TOLERANCE_NATS)


class Noting(Trainer):
    """Notes the cross entropy of each pass, (sum, tokens)."""

    noted: list[tuple[float, int]]

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **given: Any) -> Any:
        labels = inputs["labels"]
        loss, output = super().compute_loss(model, inputs, return_outputs=True, **given)
        self.noted.append((float(token_loss(output, labels, 1).detach()), int((labels[:, 1:] != -100).sum())))
        return loss


@pytest.mark.parametrize("accumulated", [1, 2])
def test_smoothed_labels_do_not_change_what_is_measured(task: Task, tmp_path: Path, accumulated: int) -> None:
    batch = CLOCK.batch_windows // accumulated
    args = arguments(
        tmp_path, label_smoothing_factor=0.2, gradient_accumulation_steps=accumulated,
        per_device_train_batch_size=batch,
    )  # fmt: skip
    made, console = trainer_of(task, a_model(task), args, Noting)
    made.noted = []
    made.train()
    of_steps = np.array(made.noted).reshape(CLOCK.total_steps, accumulated, 2).sum(1)
    losses = (of_steps[:, 0] / of_steps[:, 1])[CLOCK.warmup_steps :].reshape(CLOCK.num_intervals, -1).mean(1)
    np.testing.assert_allclose([row["train_loss_nats"] for row in console.intervals], losses, rtol=1e-5)


def test_weights_in_bfloat16_are_measured_in_float32(task: Task, tmp_path: Path) -> None:
    model = a_model(task).to(torch.bfloat16)
    for parameter in list(model.parameters())[:3]:
        parameter.requires_grad = False  # as of a model with adapters
    made, console = trainer_of(task, model, arguments(tmp_path, learning_rate=1e-2))
    made.train()
    assert console.intervals[-1]["validation_loss_nats"] < console.intervals[0]["validation_loss_nats"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids = task.windows.ids(task.corpus.splits["prose/validation"])[None, :6]
    found = console.backend.evaluate(ids, averaged=False)[0]
    influence, _, _ = console.backend.influence(ids[:, None], np.ones((1, 1)), ids, 1)
    for name, value in model.state_dict().items():
        assert value.dtype == torch.bfloat16
        assert torch.equal(value, before[name]), name
    tokens = torch.from_numpy(task.windows.fetch(ids[0]))
    copied = a_model(task)
    copied.load_state_dict({name: value.float() for name, value in before.items()})
    logits = copied.eval()(tokens[:, :-1].clamp(min=0)).logits
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none").sum(1)
    np.testing.assert_allclose(found, expected.detach() / (tokens[:, 1:] != -100).sum(1), rtol=1e-5)
    assert (influence.sum() > 0).all()  # of windows on themselves


@pytest.mark.parametrize(
    ("precision", "advice"),
    [(torch.float32, "lower learning_rate$"), (torch.float16, "load it in float32 or bfloat16")],
)
def test_divergence_is_said_at_the_end_of_its_interval(
    task: Task, tmp_path: Path, precision: torch.dtype, advice: str
) -> None:
    model = a_model(task).to(precision)
    made, console = trainer_of(task, model, arguments(tmp_path, learning_rate=6e4, optim="sgd"))
    with pytest.raises(InputError, match=rf"under 'lift' diverged by step 4: its loss is not finite; .*{advice}"):
        made.train()
    assert console.intervals == []


class Headless(Trainer):
    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **given: Any) -> Any:
        return model.model(inputs["input_ids"]).last_hidden_state.square().mean()


def test_a_loss_that_is_nowhere_is_said_at_the_first_step(task: Task, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither `loss` nor `logits` in step 1, expected one of them: have compute_l"):
        trainer_of(task, a_model(task), arguments(tmp_path), Headless)[0].train()


class Wrapped(torch.nn.Module):
    """A plain module around a model of transformers, which takes no mask and gives a tuple, a mapping or logits."""

    def __init__(self, task: Task, gives: str) -> None:
        super().__init__()
        self.inner, self.gives = a_model(task), gives

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        output = self.inner(input_ids, labels=labels)
        if self.gives == "mapping":
            return {"loss": output.loss, "logits": output.logits}
        if self.gives == "logits" or labels is None:
            return output.logits
        return output.loss, output.logits


class OfLogits(Trainer):
    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **given: Any) -> Any:
        loss = torch.nn.functional.cross_entropy(
            model(inputs["input_ids"])[:, :-1].flatten(0, 1), inputs["labels"][:, 1:].flatten()
        )
        return loss


@pytest.mark.parametrize(("gives", "kind"), [("tuple", Trainer), ("mapping", Trainer), ("logits", OfLogits)])
def test_a_plain_module_is_trained_as_its_model_is(task: Task, tmp_path: Path, gives: str, kind: type[Trainer]) -> None:
    curves = []
    for model, of in ((a_model(task), Popping), (Wrapped(task, gives), kind)):
        made, console = trainer_of(task, model, arguments(tmp_path / of.__name__, learning_rate=3e-3), of)
        made.train()
        curves.append(curve(console))
    np.testing.assert_allclose(curves[1], curves[0], atol=TOLERANCE_NATS)


def both_ways(vocab_size: int) -> Any:
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return AutoModelForCausalLM.from_config(BertConfig(vocab_size=vocab_size, max_position_embeddings=128, **shape))


class Around(torch.nn.Module):
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, **inputs: Any) -> Any:
        return self.inner(**inputs)


@pytest.mark.parametrize(
    "around",
    [lambda model: model, Around, lambda model: torch.compile(model, backend="eager"), torch.nn.Module.bfloat16],
    ids=["itself", "wrapped", "compiled", "bfloat16"],
)
def test_a_model_that_sees_both_ways_is_refused(task: Task, tmp_path: Path, around: Any) -> None:
    model = around(both_ways(task.corpus.vocab_size))
    with pytest.raises(InputError, match="sees the tokens that it is to predict, expected a causal model"):
        trainer_of(task, model, arguments(tmp_path))[0].train()


def test_a_schedule_without_an_initial_rate(task: Task, tmp_path: Path) -> None:
    held_out = [{"input_ids": torch.arange(8), "labels": torch.arange(8)}]
    args = arguments(
        tmp_path, lr_scheduler_type="reduce_lr_on_plateau", eval_strategy="steps", eval_steps=4,
        lr_scheduler_kwargs={"factor": 0.5, "patience": 0, "threshold": 1e9}, learning_rate=1e-3,
    )  # fmt: skip
    made, console = trainer_of(task, a_model(task), args, eval_dataset=held_out)
    made.train()
    assert console.backend.lr_fraction in (0.5**4, 0.5**5)
    assert len(console.intervals) == CLOCK.num_intervals


def test_it_goes_on_exactly(task: Task, tmp_path: Path) -> None:
    whole, console = trainer(task, tmp_path)
    whole.train()
    weights = {name: value.clone() for name, value in whole.model.state_dict().items()}
    again, other = trainer(task, tmp_path)  # save_steps is no interval's end: it goes on in the middle of one
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-15"))
    assert other.intervals == console.intervals
    assert (whole.state.epoch, again.state.epoch) == (1, 1)
    saved = [entry["epoch"] for entry in again.state.log_history]
    assert saved == [entry["epoch"] for entry in whole.state.log_history]
    for name, value in again.model.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)
    done, third = trainer(task, tmp_path)
    done.train(resume_from_checkpoint=True)  # from the last step
    assert third.intervals == console.intervals


def test_train_begins_anew(task: Task, tmp_path: Path) -> None:
    """After a run that was interrupted, with the weights that it left."""

    class Interrupted(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 7:
                raise KeyboardInterrupt

    made, console = trainer(task, tmp_path)
    made.add_callback(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        made.train()
    made.remove_callback(Interrupted)
    made.train()
    assert len(console.intervals) == CLOCK.num_intervals
    assert not made.model._forward_hooks


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_steps": 7}, "max_steps is 7, expected the episode's: give max_steps=22"),
        ({"gradient_accumulation_steps": 3}, "size 8 x gradient_accumulation_steps 3 x 1 processes is 24 windows a st"),
        ({"ignore_data_skip": False}, "ignore_data_skip is False, expected True: a run that goes on must skip no"),
        ({"train_sampling_strategy": "group_by_length"}, "is 'group_by_length', expected 'random': the console gives"),
        ({"data_seed": 3}, "data_seed is 3, expected None: the order of the text follows the console's own seed"),
        ({"auto_find_batch_size": True}, "auto_find_batch_size is True, expected False"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(task: Task, tmp_path: Path, given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        trainer_of(task, a_model(task), arguments(tmp_path, **given))


def test_measuring_needs_some_memory(task: Task, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="measuring_gib is 0, expected above 0"):
        ConsoleCallback(task, CLOCK, make_policy("lift"), arguments(tmp_path), measuring_gib=0)


def test_what_does_not_fit_is_refused(task: Task, tmp_path: Path) -> None:
    made, console = trainer(task, tmp_path)
    made.train()
    with pytest.raises(InputError, match="has a train_dataset of its own, expected train_dataset=console.dataset"):
        console.attach(Trainer(a_model(task), console.args, train_dataset=[{}]))
    with pytest.raises(InputError, match="has other arguments than this console"):
        console.attach(Trainer(a_model(task), arguments(tmp_path), train_dataset=console.dataset))
    console_file = tmp_path / "checkpoint-15" / "console.safetensors"
    console_file.write_bytes(console_file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"console\.safetensors is damaged: resume from the Trainer's checkpoint bef"):
        trainer(task, tmp_path)[0].train(resume_from_checkpoint=str(tmp_path / "checkpoint-15"))
    save_file({"seed": np.array(SEED)}, console_file)  # as an earlier version wrote it
    with pytest.raises(InputError, match=r"console\.safetensors was written by an earlier version"):
        trainer(task, tmp_path)[0].train(resume_from_checkpoint=str(tmp_path / "checkpoint-15"))
    write_arrays(console_file, {}, {"seed": SEED}, 4)  # as version 0.3 did
    with pytest.raises(InputError, match=r"console\.safetensors was written by an earlier version \(its format is 4"):
        trainer(task, tmp_path)[0].train(resume_from_checkpoint=str(tmp_path / "checkpoint-15"))
    console_file.unlink()
    with pytest.raises(InputError, match=r"console\.safetensors is missing"):
        trainer(task, tmp_path)[0].train(resume_from_checkpoint=str(tmp_path / "checkpoint-15"))


def test_a_guest_is_trained_by_its_trainer(task: Task, tmp_path: Path) -> None:
    made, console = trainer(task, tmp_path)
    with pytest.raises(InputError, match="no model is being trained, expected the trainer to have begun"):
        console.backend.evaluate(np.zeros((1, 1), np.int64), averaged=False)
    made.train()
    with pytest.raises(InputError, match="an external backend was asked to train, expected its own trainer to"):
        console.backend.train(np.zeros((1, 1, 8), np.int64), np.ones(1, bool))


def test_several_ranks_see_the_same(task: Task, ours: list[list[float]], tmp_path: Path, all_ranks: Any) -> None:
    def work() -> None:
        made, console = trainer(task, tmp_path, per_device_train_batch_size=4, ddp_find_unused_parameters=False)
        made.train()
        np.testing.assert_allclose(curve(console), ours, atol=TOLERANCE_NATS)

    all_ranks(2, work)


def test_it_goes_on_after_its_corpus_grew(task: Task, tmp_path: Path) -> None:
    """From the middle of an interval, which ends with the windows that were drawn for it."""
    made, console = trainer(task, tmp_path)
    made.train()
    corpus = task.corpus
    names, column = corpus.labels["domain"].names, corpus.labels["domain"].column
    added = [f"{corpus.text(number)} added" for number in range(400)]
    train = [corpus.text(number) for number in corpus.splits["train"]]
    with CorpusWriter(tmp_path / "grown", corpus.reference_tasks) as writer:
        writer.add_split("train", added + train)
        for split, documents in sorted(corpus.splits.items(), key=lambda item: item[1].start)[1:]:
            writer.add_split(split, [corpus.text(number) for number in documents])
        writer.encode(corpus.tokenizer())
        grown_column = np.concatenate([np.full(400, len(names)), column]).astype(np.uint16)
        writer.add_labels("domain", Labels((*names, "added"), None, grown_column))
        for label, labels in list(corpus.labels.items())[1:]:
            writer.add_labels(label, replace(labels, column=np.concatenate([labels.column[:400], labels.column])))
    grown = SETTING.task(Corpus.open(tmp_path / "grown"))
    again, other = trainer(grown, tmp_path)
    texts: list[list[str]] = []

    class Noted(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            ids = other._posted[(state.global_step - 10) % 6 * 8 :][:8]  # intervals begin at steps 4, 10 and 16
            texts.append([grown.corpus.text(document) for document in grown.windows.document(ids)])

    again.add_callback(Noted())
    with pytest.warns(UserWarning, match="400 documents are new, 1000 stay as used as they were"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-15"))
    assert other.intervals[:1] == console.intervals[:1]
    np.testing.assert_allclose(curve(other)[1], curve(console)[1], atol=TOLERANCE_NATS)
    assert len(other.intervals) == CLOCK.num_intervals
    assert sum(text.endswith(" added") for step in texts[1:] for text in step) > 0
    assert not any(text.endswith(" added") for text in texts[0])
    assert other.episode.drawn_NC.sum() == other.episode.tokens_N.sum()


def tried(
    task: Task, folder: Path, policy: str, trial: TrialConfig, anyway: bool = False
) -> tuple[Trainer, ConsoleCallback]:
    """A Trainer whose console tries its policy on prose first."""
    args = arguments(folder)
    made = make_policy(policy, task.agent_names)
    console = ConsoleCallback(task, CLOCK, made, args, {"prose": 1.0}, SEED, trial=trial, anyway=anyway)
    trainer = Trainer(a_model(task), args, train_dataset=console.dataset)
    console.attach(trainer)
    return trainer, console


@pytest.mark.usefixtures("trial_cache")
def test_a_policy_is_tried_before_the_first_step(
    task: Task, tiny_setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = replace(tiny_setting.episode, steps_per_interval=24)
    trial = TrialConfig(seeds=3, windows=96, proxy=replace(tiny_setting, episode=clock))
    made, _ = tried(task, tmp_path / "no", "only:match-code", trial)
    with pytest.raises(InputError, match=r"below 0, so the policy makes the model worse") as refusal:
        made.train()
    assert str(refusal.value).endswith("to try none give trial=False, to let it drive all the same anyway=True")
    assert "--" not in str(refusal.value)
    few, _ = tried(task, tmp_path / "few", "lift", trial)
    with monkeypatch.context() as patch:
        patch.setattr(windows, "MAX_PARTS", 1)  # as where documents are too long for the proxies' windows
        with pytest.raises(InputError, match=r"for the trial on proxies .* go without a trial \(trial=False\)"):
            few.train()
    assert made.state.global_step == 0
    made, console = tried(task, tmp_path / "anyway", "only:match-code", trial, anyway=True)
    with pytest.warns(UserWarning, match=r"worse than no selection; it took \d+ seconds"):
        made.train()
    assert len(console.intervals) == CLOCK.num_intervals
    assert console.tried is not None
    (row,) = [row for row in made.state.log_history if "trial_seconds" in row]
    assert row == {"trial_gain_nats": console.tried.gain.nats, "trial_seconds": console.tried.seconds, "step": 0}
    monkeypatch.setattr(Trial, "run", lambda *_: pytest.fail("it was tried again"))
    again, _ = tried(task, tmp_path / "anyway", "only:match-code", replace(trial, seeds=2))
    again.train(resume_from_checkpoint=str(tmp_path / "anyway" / "checkpoint-10"))
    assert again.state.global_step == CLOCK.total_steps
