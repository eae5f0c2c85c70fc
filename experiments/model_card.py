"""The model card of a pretrained target: what it was made of and what it came to."""

import shlex
import sys
from typing import Any

from ..env.scenario import Scenario
from ..env.task import Task
from ..policies.base import Policy

CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [pretraingym]
---

# A causal language model of {params:,} parameters

Pretrained by PretrainGym on {tokens:,} tokens, which the console policy **{policy}** chose.

- Policy: {describes}
- Command: `{command}`
- Corpus: fingerprint `{fingerprint}`, {documents:,} training documents; what text it holds and under which licences is
  on the corpus's own card. No licence of this model is implied.
- Reference tasks that the policy was to serve: {reference}
- Seed {seed}; share of time spent on the console {console_share:.2%}, on evaluations {evaluation_share:.2%}.

| reference task, test half | nats per token | bits per byte |
|---|---|---|
{rows}

It has seen no instructions and was not aligned; it continues text.
"""


def model_card(task: Task, policy: Policy, scenario: Scenario, seed: int, result: dict[str, Any]) -> str:
    """Markdown with the metadata that the hub reads; `result`: of the run."""
    nats, bits = result["test_loss_nats"], result["test_bits_per_byte"]
    return CARD.format(
        params=result["target_params"],
        tokens=result["tokens"],
        policy=policy.name,
        describes=policy.describe(),
        command=shlex.join(["pretraingym", *sys.argv[1:]]),
        fingerprint=task.corpus.fingerprint,
        documents=len(task.corpus.splits["train"]),
        reference=", ".join(f"{name} {weight:.2g}" for name, weight in scenario.reference),
        seed=seed,
        console_share=result["console_share"],
        evaluation_share=result["evaluation_share"],
        rows="\n".join(f"| {name} | {nats[name]:.4f} | {bits[name]:.4f} |" for name in nats),
    )
