"""What a pretraining run would take, told before it begins: pretraingym pretrain --dry-run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...env.settings.setting import Setting
from ...lm.corpus.corpus import Corpus
from ...lm.corpus.tokenizer import load_tokenizer, vocabulary_size
from ...lm.models.engine_config import EngineConfig
from ...lm.models.flops import TrainingCost
from ..analysis.charges import run_charges

VOCABULARY = 32_768  # (assumed) if no corpus is named
REFERENCE_TASKS = 4  # (assumed) if no corpus is named
UTILISATION = 0.45  # share of the peak speed that training reaches (assumed: the aim of this project, not measured)


@dataclass(frozen=True)
class Hardware:
    """A GPU by its maker's figures: dense bfloat16 operations per second, and memory."""

    flops_per_s: float
    memory_gib: float


HARDWARE = {
    "a100": Hardware(312e12, 80),
    "h100": Hardware(989e12, 80),
    "h200": Hardware(989e12, 141),
    "b200": Hardware(2250e12, 180),
}


def plan(setting: Setting, engine: EngineConfig, corpus: Corpus | None, gpus: int) -> dict[str, Any]:
    """Estimates of parameters, tokens, FLOPs, memory per rank, and hours on named GPUs. Nothing is written.

    Probes and evaluations count at half the speed of training, since their products are in float32 (TF32)."""
    from ...lm.target.memory import memory_bytes  # which needs torch

    config = setting.model_config(_vocabulary(setting, corpus))
    cost = TrainingCost.of(config, setting.context)
    charges = run_charges(setting, cost.params, REFERENCE_TASKS if corpus is None else len(corpus.reference_tasks))
    memory = memory_bytes(config, engine, setting.context, gpus) / 2**30
    flops = cost.flops_per_token * setting.budget_tokens
    console, evaluation = 2 * charges.probe / charges.train, 2 * charges.evaluate / charges.train
    hours = {
        name: round(flops * (1 + console + evaluation) / (gpus * gpu.flops_per_s * UTILISATION) / 3600, 2)
        if memory < 0.9 * gpu.memory_gib
        else f"needs {memory:.0f} GiB a rank"
        for name, gpu in HARDWARE.items()
    }
    return {
        "params": cost.params,
        "vocabulary": config.get_text_config(decoder=True).vocab_size,
        "tokens": setting.budget_tokens,
        "steps": setting.episode.total_steps,
        "tokens_per_step": setting.episode.batch_windows * setting.context,
        "train_flops": flops,
        "console_share": round(console, 5),
        "evaluation_share": round(evaluation, 5),
        "ranks": gpus,
        "memory_gib_per_rank": round(memory, 1),
        "hours": hours,
    }


def plan_lines(planned: Mapping[str, Any]) -> list[str]:
    """What `plan` told, for people: a line each."""
    facts = {
        "parameters": f"{planned['params']:,}, with a vocabulary of {planned['vocabulary']:,}",
        "tokens": f"{planned['tokens']:,}, {planned['steps']:,} steps of {planned['tokens_per_step']:,}",
        "training": f"{planned['train_flops']:.2g} floating-point operations",
        "probes": f"{planned['console_share']:.2%} of the time of training",
        "evaluations": f"{planned['evaluation_share']:.2%}",
        "memory": f"{planned['memory_gib_per_rank']:,} GiB on each of {planned['ranks']} ranks",
    }
    for name, hours in planned["hours"].items():
        facts[f"on {planned['ranks']} {name.upper()}"] = hours if isinstance(hours, str) else f"{hours:,} hours"
    widest = max(map(len, facts))
    return ["What the run would take (estimates):", *(f"  {name:<{widest}}  {told}" for name, told in facts.items())]


def _vocabulary(setting: Setting, corpus: Corpus | None) -> int:
    """The model's vocabulary, found without tokenising anything."""
    if setting.origin is not None:
        return 0  # the origin's configuration has it
    if setting.tokenizer is not None:
        return vocabulary_size(load_tokenizer(setting.tokenizer))
    return VOCABULARY if corpus is None else corpus.vocab_size
