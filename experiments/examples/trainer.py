"""A console policy drives an ordinary transformers Trainer: about ten lines around what a Trainer user has already.

    python -m pretraingym.experiments.examples.trainer --corpus FOLDER --policy lift

Last line: one JSON object with the losses and weights of each interval.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from transformers import AutoModelForCausalLM, PrinterCallback, Trainer, TrainingArguments

from ...env.episode_config import EpisodeConfig
from ...env.scenarios.task import Task
from ...lm.corpus.corpus import Corpus
from ...lm.models.causal_lm import llama
from ...policies.console_callback import ConsoleCallback
from ...policies.registry import make_policy


@dataclass(frozen=True)
class TrainerConfig:
    """What is trained on which text."""

    corpus: Path
    """folder of a built corpus"""
    policy: str = "lift"
    """a rule's or shipped policy's name, or a run folder"""
    folder: Path = Path("runs/trainer")
    """the Trainer's output"""
    resume: bool = False
    """from the newest checkpoint in the folder"""
    context: int = 64
    """tokens of a window"""
    steps_per_interval: int = 20
    """optimiser steps between two decisions"""


def main(config: TrainerConfig) -> dict[str, Any]:
    """Train a small Llama."""
    task = Task(Corpus.open(config.corpus), config.context)
    clock = EpisodeConfig(steps_per_interval=config.steps_per_interval)  # when to decide, and how much to measure
    args = TrainingArguments(
        str(config.folder),
        max_steps=clock.total_steps,
        per_device_train_batch_size=clock.batch_windows,
        learning_rate=3e-3,
        save_steps=50,
        ignore_data_skip=True,  # the console draws the windows
        report_to=[],
        disable_tqdm=True,
    )
    console = ConsoleCallback(task, clock, make_policy(config.policy, task.agent_names), args)
    model = AutoModelForCausalLM.from_config(llama(task.corpus.vocab_size, 64, 2, config.context))
    trainer = Trainer(model, args, train_dataset=console.dataset)
    console.attach(trainer)
    trainer.remove_callback(PrinterCallback)  # which would write to standard output
    trainer.train(resume_from_checkpoint=config.resume or None)
    return {"intervals": console.intervals}


if __name__ == "__main__":
    print(json.dumps(main(tyro.cli(TrainerConfig, description=__doc__))))
