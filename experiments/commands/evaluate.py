"""pretraingym evaluate: score a model on multiple-choice questions with EleutherAI's lm-evaluation-harness."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import tyro

from ...lm.device import check_device_name
from ...lm.io.errors import InputError
from ...lm.io.files import write_atomic
from ..evaluation.harness import METRICS, ask, load_model, require_harness
from ..evaluation.questions import read_questions
from ..progress import Progress


@dataclass(frozen=True)
class EvaluateConfig:
    """Score a model on multiple-choice questions with EleutherAI's lm-evaluation-harness (the extra `eval`). Nothing is
    downloaded."""

    model: tyro.conf.Positional[Path]
    """a transformers folder: config.json, model.safetensors and tokenizer.json"""
    benchmarks: Path
    """a folder of .jsonl files, one question a line: query, choices, gold (index of the right choice)"""
    tasks: tuple[str, ...] = ()
    """names of the files to use, without .jsonl (default: all)"""
    limit: int | None = None
    """ask this many questions of each file, the first ones (default: all)"""
    device: str = "cpu"
    """torch device of the model: cpu, cuda, mps or xpu, with a number where there are several"""
    batch_size: int = 16
    """choices that the model reads at once"""
    output: Path | None = None
    """JSON file for the result, with the log-likelihood of every choice"""

    def __post_init__(self) -> None:
        check_device_name(self.device)
        for name, value in (("limit", self.limit), ("batch-size", self.batch_size)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}, expected at least 1")


def main(config: EvaluateConfig) -> dict[str, Any]:
    """Ask all questions, zero-shot, and return the shares of right answers, by file and as a mean over files.

    A choice's score is the log-likelihood of " " + choice after the query. `acc` is the share of questions whose right
    choice scores highest; `acc_norm` the same once each score is divided by the number of characters of its choice
    (Unicode code points, without the space). `chance` is the mean of 1 / number of choices, `cut` the share of choices
    whose query was too long for the context and lost its beginning, `left_out` how many questions of the file have an
    empty choice. Nothing is drawn at random: questions are asked in order, and standard errors are those of a mean."""
    require_harness()
    if config.output is not None and not config.output.parent.is_dir():
        raise InputError(f"no folder {config.output.parent}: make it, or name another --output")
    questions = read_questions(config.benchmarks, config.tasks, config.limit)
    total, done = sum(map(len, questions.by_file.values())), 0
    tasks: dict[str, dict[str, Any]] = {}
    scores: dict[str, list[list[float]]] = {}
    with Progress() as progress:
        progress.stage("model", 5)
        model = load_model(config.model, config.device, config.batch_size)
        progress.stage("questions")
        for name, rows in questions.by_file.items():
            tasks[name], scores[name] = ask(model, name, rows)
            tasks[name]["left_out"] = questions.left_out[name]
            done += len(rows)
            progress.update(done, total, file=name, acc_norm=tasks[name]["acc_norm"])
    mean = {key: fmean(task[key] for task in tasks.values()) for key in (*METRICS, "chance")}
    result = {"model": str(config.model), "mean": mean, "tasks": tasks, "skipped": questions.skipped}
    if config.output is not None:
        write_atomic(config.output, json.dumps(result | {"log_likelihoods_nats": scores}).encode())
    return result
