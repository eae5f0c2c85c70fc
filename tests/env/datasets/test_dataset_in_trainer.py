"""ConsoleDataset where users train: Accelerate and the transformers Trainer."""

import logging
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator
from torch.utils.data import DataLoader
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from pretraingym.env.datasets.batch_plan import BatchPlan
from pretraingym.env.datasets.console_dataset import ConsoleDataset
from pretraingym.env.scenarios.task import Task
from pretraingym.lm.corpus.corpus import Corpus


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return Task(tiny_corpus, 16)


def half(task: Task, agent: str) -> np.ndarray:
    weights = np.zeros(len(task.agent_names))
    weights[[task.agent_names.index(name) for name in ("null", agent)]] = 0.5
    return weights


def test_accelerate_takes_it(task: Task) -> None:
    plan = BatchPlan(8, steps_per_block=3, num_blocks=2)
    prepared, plain = (DataLoader(ConsoleDataset(task, half(task, "quality"), plan), batch_size=8) for _ in range(2))
    prepared = Accelerator(cpu=True).prepare(prepared)
    seen, expected = ([batch["input_ids"].tolist() for batch in loader] for loader in (prepared, plain))
    assert seen == expected
    assert len(prepared) == 6


class Changes(TrainerCallback):
    """Sets new weights after the second step, and keeps the state after the fourth."""

    def __init__(self, dataset: ConsoleDataset, weights: np.ndarray) -> None:
        self.dataset, self.weights = dataset, weights

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 2:
            self.block = self.dataset.set_weights(self.weights)
        if state.global_step == 4:
            self.state = self.dataset.state_at(4)


class Noting(Trainer):
    noted: list[Any]

    def training_step(self, model: Any, inputs: Any, *rest: Any) -> Any:
        self.noted += inputs["input_ids"].tolist()
        return super().training_step(model, inputs, *rest)


def test_a_trainer_takes_it(task: Task, tmp_path: Path) -> None:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    plan = BatchPlan(8, steps_per_block=1, loader_batch=4)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=task.corpus.vocab_size, **shape))
    settings = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "max_steps": 6, "use_cpu": True}
    arguments = TrainingArguments(str(tmp_path), **settings, report_to="none", save_strategy="no", disable_tqdm=True)
    first, again = (ConsoleDataset(task, half(task, "quality"), plan) for _ in range(2))
    changes = Changes(first, half(task, "match-prose"))
    trainer = Noting(llama, arguments, train_dataset=first, callbacks=[changes])
    trainer.noted = []
    assert trainer.train().global_step == 6
    assert changes.block == 3  # Accelerate asks for one batch more than it gives
    again.load_state_dict(changes.state)
    seen = 4 * plan.batch_windows  # before the state was kept, of six steps
    rest = [item["input_ids"].tolist() for item in islice(again, 2 * plan.batch_windows)]
    assert trainer.noted[seen:] == rest
    with pytest.raises(TypeError, match="the sequence has no end"):
        len(first)
