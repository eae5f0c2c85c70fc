"""The folder of a pretrained target: a transformers model with its tokenizer and its card."""

import json
import shlex
import shutil
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...env.console.category_use import CategoryUse, achieved_table
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...lm.corpus.corpus import reference_split
from ...lm.io.errors import InputError, in_one_line
from ...lm.io.files import naming_disk_errors, sync_folder, write_atomic
from ...policies.base import Policy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ...lm.target.target import Target

GENERATION = "generation_config.json"
TRUE_GAIN = "- After it, "  # begins the card's line
CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [pretraingym]
---

# A causal language model of {params:,} parameters

{begun} by PretrainGym on {tokens:,} tokens, which the console policy **{policy}** chose.

- Policy: {describes}
- Command: `{command}`
- Corpus: fingerprint `{fingerprint}`, {documents:,} training documents; what text it holds and under which licences is
  on the corpus's own card. No licence of this model is implied.
- Reference tasks that the policy was to serve: {reference}
- Seed {seed}; share of time spent on the console {console_share:.2%}, on evaluations {evaluation_share:.2%}.

| reference task, test part | nats per token | bits per byte |
|---|---|---|
{rows}

{gain}What it was trained on, by label of the corpus (epochs: tokens drawn over the corpus's tokens of that category):

{drawn}

`pretraingym evaluate` scores it on multiple-choice files; `lm_eval --model hf` reads it too, with
`--model_args pretrained=FOLDER,prefix_token_id=0` where its tokenizer has no token that begins or ends a text.

It has seen no instructions and was not aligned; it continues text.
"""


def model_card(
    task: Task,
    asked: str,
    policy: Policy,
    scenario: Scenario,
    seed: int,
    result: dict[str, Any],
    drawn: dict[str, list[CategoryUse]],
    origin: Path | None,
) -> str:
    """Markdown with the metadata that the hub reads. `asked`: the policy as it was named; `result`: the run's; `drawn`:
    its text by label; `origin`: the weights it began from."""
    nats, bits = result["test_loss_nats"], result["test_bits_per_byte"]
    return CARD.format(
        begun=f"Pretrained further, from the weights in `{origin.name}`," if origin else "Pretrained",
        params=result["target_params"],
        tokens=result["tokens"],
        policy=asked,
        describes=policy.describe(),
        command=shlex.join(["pretraingym", *sys.argv[1:]]),
        fingerprint=task.corpus.fingerprint,
        documents=len(task.corpus.splits["train"]),
        reference=", ".join(f"{name} {weight:.2g}" for name, weight in scenario.reference),
        seed=seed,
        console_share=result["console_share"],
        evaluation_share=result["evaluation_share"],
        drawn="\n".join(achieved_table(drawn)),
        rows="\n".join(f"| {name} | {nats[name]:.4f} | {bits[name]:.4f} |" for name in nats),
        gain=_gain_section(result),
    )


def _gain_section(result: dict[str, Any]) -> str:
    """What is known of the gain over natural; "" of a run of natural itself."""
    if "true_gain" not in result:
        return ""
    lines = []
    if (trial := result.get("trial")) is not None:
        lines += [
            f"- Before the run, a {trial['told']}.",
            f"- The trial took {trial['seconds']:,.0f} seconds and {trial['flops']:.2g} floating-point operations, "
            f"{trial['flops_over_the_targets']:.2%} of the training's.",
        ]
    lines.append(f"{TRUE_GAIN}{result['true_gain']}.")
    return "What the choice of the text is worth:\n\n" + "\n".join(lines) + "\n\n"


def retell_gain(folder: Path, true_gain: str) -> None:
    """Have the card of the model in `folder` tell its true gain, which became known after the model was saved; where
    there is no card any more, a warning."""
    card = folder / "README.md"
    if not card.is_file():
        warnings.warn(f"{card} is missing, so no card tells the true gain", stacklevel=2)
        return
    lines = card.read_text().splitlines()
    told = [f"{TRUE_GAIN}{true_gain}." if line.startswith(TRUE_GAIN) else line for line in lines]
    write_atomic(card, ("\n".join(told) + "\n").encode())


def bits_per_byte(task: Task, losses: dict[str, float]) -> dict[str, float]:
    """Test losses by reference task, from nats per token to bits per UTF-8 byte, which compare across tokenizers.

    The first token of a window, which is not predicted, counts as if it cost as much as the others."""
    return {
        name: loss / float(np.log(2)) * task.corpus.tokens_per_byte(reference_split(name, "test"))
        for name, loss in losses.items()
    }


def usable_tokenizer(task: Task, source: Path | None) -> "PreTrainedTokenizerBase":
    """The tokenizer that a model's folder gets: the corpus's, with windows' length as the longest text; or the one in
    `source`, where that is a whole transformers tokenizer. InputError: transformers cannot read that."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if source is not None and (source / "tokenizer_config.json").is_file():
        try:
            if "auto_map" in json.loads((source / "tokenizer_config.json").read_bytes()):
                raise ValueError("it names code of its own, auto_map, which is not run")
            return AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # noqa: BLE001 - whatever tokenizers raise
            raise InputError(
                f"transformers cannot read the tokenizer in {source} ({in_one_line(error)}); save it there again"
            ) from None
    tokenizer, end = task.corpus.tokenizer(), task.corpus.end_of_text
    named = {} if end is None else dict.fromkeys(("bos_token", "eos_token", "pad_token"), tokenizer.id_to_token(end))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=task.context, clean_up_tokenization_spaces=False, **named
    )


def check_generation(origin: Path) -> None:
    """InputError: the settings of generation in `origin`, which are copied, cannot be read."""
    from transformers import GenerationConfig

    if not (origin / GENERATION).is_file():
        return
    try:
        GenerationConfig.from_pretrained(origin, local_files_only=True).validate()
    except Exception as error:  # noqa: BLE001 - whatever its fields make it raise
        raise InputError(f"{origin / GENERATION} cannot be used ({in_one_line(error)}); mend or delete it") from None


def save_model(
    target: "Target",
    tokenizer: "PreTrainedTokenizerBase",
    folder: Path,
    card: str = "",
    origin: Path | None = None,
) -> None:
    """Save the model with its card and tokenizer, whole or not at all. `origin`: a folder from which settings of
    generation are copied, if there are any. All ranks call it; the first writes."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would be printed into ours
    part = folder.with_name(f".{folder.name}.part")
    if not target.ranks.first:
        target.save_pretrained(part)
        return
    shutil.rmtree(part, ignore_errors=True)
    with naming_disk_errors(part):
        target.save_pretrained(part)
        tokenizer.save_pretrained(part)
    if origin is not None and (origin / GENERATION).is_file():
        shutil.copyfile(origin / GENERATION, part / GENERATION)
    if card:
        (part / "README.md").write_text(card)
    sync_folder(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
