"""EleutherAI's lm-evaluation-harness (the extra `eval`): its model of a transformers folder, its multiple choice."""

import contextlib
import importlib.util
import io
import logging
import math
from pathlib import Path
from statistics import fmean
from typing import Any

from ...lm.corpus.tokenizer import load_tokenizer, vocabulary_size
from ...lm.device import usable_device
from ...lm.io.errors import InputError, in_one_line
from .questions import FIELDS

METRICS = ("acc_norm", "acc")


def require_harness() -> None:
    """InputError: the harness is not installed."""
    if importlib.util.find_spec("lm_eval") is None:
        raise InputError('the evaluation needs lm_eval: pip install "pretraingym[eval]"')


def load_model(folder: Path, device: str, batch_size: int) -> Any:
    """The harness's model. InputError: a folder or a device that cannot be used."""
    if not (folder / "config.json").is_file():
        raise InputError(f"no config.json in {folder}; give the folder of a transformers causal LM")
    known = vocabulary_size(load_tokenizer(folder))
    usable_device(device)  # the harness takes another device in place of one that is not there
    try:
        model = _model(folder, device, batch_size)
    except Exception as error:  # noqa: BLE001 - torch, transformers and safetensors share no narrower one
        raise InputError(f"the model in {folder} cannot be read on '{device}': {in_one_line(error)}") from None
    embedded = model.model.get_input_embeddings().weight.shape[0]
    if known > embedded:
        raise InputError(f"{folder} has a tokenizer of {known} tokens and a model of {embedded}: they do not fit")
    return model


def _model(folder: Path, device: str, batch_size: int) -> Any:
    from lm_eval.models.huggingface import HFLM
    from transformers.utils.logging import disable_progress_bar

    class Model(HFLM):
        """Reads a choice that is longer than the context, which the harness refuses, in pieces of half a context, each
        after as much as fits of what comes before it."""

        cut = 0.0

        def _loglikelihood_tokens(self, requests: list[Any], **options: Any) -> list[tuple[float, bool]]:
            context, pieces, owners = self.max_length, [], []
            for owner, (texts, before, choice) in enumerate(requests):
                if not choice:
                    raise InputError(f"the tokenizer makes no token of the choice '{texts[1].strip()}'")
                tokens, piece = before + choice, len(choice) if len(choice) <= context else max(1, context // 2)
                for start in range(len(before), len(tokens), piece):
                    pieces.append((texts, tokens[:start], tokens[start : start + piece]))
                    owners.append(owner)
            self.cut = sum(len(before) + len(choice) > context + 1 for _, before, choice in requests) / len(requests)
            # Of texts that are split at two places, the harness's cache takes the wrong tokens.
            self.logits_cache = len(pieces) == len(requests)
            found: list[list[tuple[float, bool]]] = [[] for _ in requests]
            for owner, answer in zip(owners, super()._loglikelihood_tokens(pieces, **options), strict=True):
                found[owner].append(answer)
            if not all(math.isfinite(nats) for answers in found for nats, _ in answers):
                raise InputError(f"the model in {folder} gives log-likelihoods that are not finite")
            return [(sum(nats for nats, _ in answers), all(greedy for _, greedy in answers)) for answers in found]

    disable_progress_bar()  # it would tear ours
    made_of = {"device": device, "batch_size": batch_size, "softmax_dtype": "float32", "use_safetensors": True}
    model = Model(str(folder), "causal", **made_of)
    if model.prefix_token_id is None:  # the harness looks for it at the beginning of texts, and must find none
        model.custom_prefix_token_id = model.tokenizer.pad_token_id
    return model


def ask(model: Any, name: str, questions: list[dict[str, Any]]) -> tuple[dict[str, Any], list[list[float]]]:
    """(scores over the questions, log-likelihoods in nats of each question's choices)."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate

    query, choices, gold = FIELDS
    metrics = [{"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in METRICS]
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # a warning for every choice that is cut
    with contextlib.redirect_stderr(io.StringIO()):  # the harness's bars, which it has no switch for
        task = ConfigurableTask(
            config={
                "task": name,
                "custom_dataset": lambda: {"test": Dataset.from_list(questions)},
                "test_split": "test",
                "output_type": "multiple_choice",
                "doc_to_text": query,
                "doc_to_choice": choices,
                "doc_to_target": gold,
                "target_delimiter": " ",
                "metric_list": metrics,
            }
        )
        found = evaluate(lm=model, task_dict={name: task})
    chance = fmean(1 / len(question[choices]) for question in questions)
    figures: dict[str, Any] = {"questions": len(questions), "chance": chance}
    for metric in METRICS:
        value, error = (found["results"][name][f"{metric}{end},none"] for end in ("", "_stderr"))
        figures |= {metric: value, f"{metric}_stderr": error if len(questions) > 1 else None}
    samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
    return figures | {"cut": model.cut}, [[nats for nats, _ in sample["filtered_resps"]] for sample in samples]
