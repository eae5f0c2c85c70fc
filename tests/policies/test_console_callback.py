"""A policy drives a transformers Trainer: the same documents and losses as in a target of ours, also after a resume."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import Trainer, TrainingArguments

from pretraingym.env.episode import Episode
from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.scenarios.pool import whole_corpus_scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import new_model
from pretraingym.lm.models.engine_config import EngineConfig
from pretraingym.lm.models.optimizer import StackedOptimizer
from pretraingym.policies.console_callback import ConsoleCallback
from pretraingym.policies.registry import make_policy

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


def trainer(task: Task, folder: Path, **given: Any) -> tuple[Trainer, ConsoleCallback]:
    options = {"per_device_train_batch_size": CLOCK.batch_windows, "max_steps": CLOCK.total_steps, **given}
    args = TrainingArguments(
        str(folder), use_cpu=True, report_to=[], max_grad_norm=0.0, logging_strategy="no", disable_tqdm=True,
        save_strategy="steps", save_steps=5, ignore_data_skip=True, **options,
    )  # fmt: skip
    console = ConsoleCallback(task, CLOCK, make_policy("lift"), args, {"prose": 1.0}, SEED)
    model = new_model(SETTING.model_config(task.corpus.vocab_size), SEED)
    optimizer, schedule = OurOptimizer(model, SETTING), SETTING.train_config.schedule
    rate = lambda step: float(schedule.fraction(np.array([step]))[0])  # noqa: E731
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    made = Trainer(model, args, train_dataset=console.dataset, optimizers=(optimizer, scheduler))
    console.attach(made)
    return made, console


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


def test_it_goes_on_exactly(task: Task, tmp_path: Path) -> None:
    whole, console = trainer(task, tmp_path)
    whole.train()
    weights = {name: value.clone() for name, value in whole.model.state_dict().items()}
    again, other = trainer(task, tmp_path)  # save_steps is no interval's end: it goes on in the middle of one
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-15"))
    assert other.intervals == console.intervals[-len(other.intervals) :]
    assert len(other.intervals) == 2
    for name, value in again.model.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)


def test_what_does_not_fit_is_refused(task: Task, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 7 steps of 8 windows, the episode 22 of 8: give max_steps=22"):
        trainer(task, tmp_path, max_steps=7)
    with pytest.raises(InputError, match=r"has 22 steps of 24 windows"):
        trainer(task, tmp_path, gradient_accumulation_steps=3)
    trainer(task, tmp_path)[0].train()
    skipping, _ = trainer(task, tmp_path)
    skipping.args.ignore_data_skip = False
    with pytest.raises(InputError, match="without ignore_data_skip=True"):
        skipping.train(resume_from_checkpoint=str(tmp_path / "checkpoint-15"))
    console_file = tmp_path / "checkpoint-15" / "console.safetensors"
    console_file.write_bytes(console_file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"console\.safetensors is damaged: resume from the Trainer's checkpoint bef"):
        trainer(task, tmp_path)[0].train(resume_from_checkpoint=str(tmp_path / "checkpoint-15"))
    save_file({"seed": np.array(SEED)}, console_file)  # as an earlier version wrote it
    with pytest.raises(InputError, match=r"console\.safetensors was written by an earlier version"):
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
