"""pretraingym evaluate: its scores against plain torch, what is refused, and the prepared benchmarks."""

import json
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from pretraingym.experiments import __main__ as command_line
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.lm.corpus.tokenizer import train_tokenizer
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import llama

SHARED = Path("../shared/benchmarks")
CONTEXT = 32
WORDS = ("the", "river", "carries", "salt", "où", "naïve", "–", "seven", "12", "a", "lantern", "keeps")
Question = dict[str, Any]
QUESTION: Question = {"query": "the river", "choices": ["salt", "seven"], "gold": 1}


def evaluate(*arguments: object) -> dict[str, Any]:
    run, config = parse(["evaluate", *map(str, arguments)])
    return run(config)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tried: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        tried.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert tried == []


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights, large ones, so that its choices differ; the tokenizer has no special tokens."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer([" ".join(WORDS)] * 3, 280)
    config = llama(tokenizer.get_vocab_size(), 16, 1, CONTEXT)
    config.initializer_range = 0.6
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


def made_up(count: int) -> list[Question]:
    """Queries and choices of many lengths: some queries and some choices alone are longer than the context."""
    rng = np.random.default_rng(0)

    def text(words: int) -> str:
        return " ".join(rng.choice(WORDS, words))

    queries = [text(int(rng.integers(1, 14))) + ("\nAnswer:" if number % 3 else " ") for number in range(count)]
    choices = [[text(int(rng.choice([1, 2, 3, 16]))) for _ in range(2 + number % 3)] for number in range(count)]
    return [{"query": query, "choices": of_it} for query, of_it in zip(queries, choices, strict=True)]


def write(folder: Path, **files: list[Question]) -> Path:
    for name, questions in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    return folder


@torch.no_grad()
def log_likelihood(model: LlamaForCausalLM, tokenizer: Tokenizer, query: str, choice: str) -> float:
    """Token by token, each after as much before it as the window holds that ends with the choice, or with its piece of
    half a context where the choice is longer than one."""
    ids, start = tokenizer.encode(f"{query} {choice}").ids, len(tokenizer.encode(query.rstrip(" ")).ids)
    length = len(ids) - start
    piece = length if length <= CONTEXT else CONTEXT // 2
    nats = 0.0
    for place in range(start, len(ids)):
        end = min(start + ((place - start) // piece + 1) * piece, len(ids))
        before = torch.tensor([ids[max(0, end - CONTEXT - 1) : place]])
        nats += model(input_ids=before).logits[0, -1].log_softmax(0)[ids[place]].item()
    return nats


def test_scores_are_those_of_plain_torch(model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = LlamaForCausalLM.from_pretrained(model_folder).eval()
    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    questions, best, right, expected, cut = made_up(12), [], [], [], []
    letters = "zxqjzqxjxzqjjqzxxqzjqxjzzjxqjzxqqzjx"  # a token each: one choice ends where a piece of another does
    questions[-1]["choices"] = [letters, letters[: CONTEXT - 1], letters[:5], "salt"]
    for number, asked in enumerate(questions):
        query, choices = asked["query"], asked["choices"]
        nats = [log_likelihood(model, tokenizer, query, choice) for choice in choices]
        per_character = int(np.argmax([n / len(choice) for n, choice in zip(nats, choices, strict=True)]))
        asked["gold"] = (per_character + (number % 4 == 0)) % len(choices)
        right.append(per_character == asked["gold"])
        best.append(int(np.argmax(nats)) == asked["gold"])
        expected.append(nats)
        cut += [len(tokenizer.encode(f"{query} {choice}").ids) > CONTEXT + 1 for choice in choices]
    # one of the choices is of those that the harness alone would stop at
    assert max(len(tokenizer.encode(" " + choice).ids) for asked in questions for choice in asked["choices"]) > CONTEXT
    output, other = tmp_path / "result.json", [{**questions[0], "query": "a"}]
    benchmarks = write(tmp_path, made=questions, other=other)
    result = evaluate(model_folder, "--benchmarks", benchmarks, "--output", output, "--batch-size", 5)
    found = json.loads(output.read_text())
    for scores, nats in zip(found.pop("log_likelihoods_nats")["made"], expected, strict=True):
        assert scores == pytest.approx(nats, abs=1e-4)
    assert found == result
    assert [record for record in caplog.records if record.name.startswith("lm_eval")] == []
    assert np.mean(best) != np.mean(right) == 9 / 12
    assert 0 < np.mean(cut) < 1
    assert result["tasks"]["made"] == pytest.approx(
        {
            "acc_norm": 9 / 12,
            "acc_norm_stderr": np.std(right, ddof=1) / 12**0.5,
            "acc": np.mean(best),
            "acc_stderr": np.std(best, ddof=1) / 12**0.5,
            "questions": 12,
            "left_out": 0,
            "chance": (1 / 2 + 1 / 3 + 1 / 4) / 3,
            "cut": np.mean(cut),
        }
    )
    assert result["tasks"]["other"]["acc_stderr"] is None  # of one question
    assert result["mean"]["acc"] == pytest.approx((np.mean(best) + result["tasks"]["other"]["acc"]) / 2)


def test_limit_tasks_and_what_is_left_out(model_folder: Path, tmp_path: Path) -> None:
    write(tmp_path, a=[QUESTION | {"choices": ["", "salt"]}, *[QUESTION] * 3], b=[QUESTION], open=[{"answer": "salt"}])
    result = evaluate(model_folder, "--benchmarks", tmp_path, "--tasks", "a", "open", "--limit", 2)
    assert {name: (task["questions"], task["left_out"]) for name, task in result["tasks"].items()} == {"a": (2, 1)}
    assert list(result["skipped"]) == ["open"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--limit 0", "limit is 0, expected at least 1"),
        ("--output missing/result.json", "no folder missing: make it"),
        ("--device abacus", "device is 'abacus', expected one of cpu, cuda, mps, xpu"),
        ("--device cuda:99", "device is 'cuda:99', which torch cannot use"),
    ],
)
def test_bad_options_are_refused(model_folder: Path, tmp_path: Path, arguments: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(model_folder, "--benchmarks", write(tmp_path, a=[QUESTION]), *arguments.split())


def test_models_that_cannot_be_used(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmarks, broken = write(tmp_path, a=[QUESTION]), tmp_path / "broken"
    with pytest.raises(InputError, match="no config.json in .*broken"):
        evaluate(broken, "--benchmarks", benchmarks)
    broken.mkdir()
    (broken / "config.json").write_bytes((model_folder / "config.json").read_bytes())
    with pytest.raises(InputError, match="no tokenizer.json in .*broken"):
        evaluate(broken, "--benchmarks", benchmarks)
    train_tokenizer(["the river"] * 3, 257).save(str(broken / "tokenizer.json"))
    torch.save(LlamaForCausalLM.from_pretrained(model_folder).state_dict(), broken / "pytorch_model.bin")
    with pytest.raises(InputError, match="the model in .*broken cannot be read on 'cpu': .*safetensors"):
        evaluate(broken, "--benchmarks", benchmarks)
    PreTrainedTokenizerFast.from_pretrained(model_folder).save_pretrained(broken)
    LlamaForCausalLM(llama(99, 16, 1, CONTEXT)).save_pretrained(broken)
    with pytest.raises(InputError, match="tokenizer of 280 tokens and a model of 99"):
        evaluate(broken, "--benchmarks", benchmarks)
    model = LlamaForCausalLM.from_pretrained(model_folder)
    torch.nn.init.constant_(model.get_output_embeddings().weight, torch.nan)
    model.save_pretrained(broken)
    with pytest.raises(InputError, match="log-likelihoods that are not finite"):
        evaluate(broken, "--benchmarks", benchmarks)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(InputError, match=r'pip install "pretraingym\[eval\]"'):
        evaluate(model_folder, "--benchmarks", benchmarks)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the prepared benchmarks are not beside the project")
def test_the_prepared_benchmarks(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All files, by the command itself: one line of JSON on standard output, and its own progress alone beside it."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own: put back after the test
    call = f"pretraingym evaluate {model_folder} --benchmarks {SHARED} --limit 5"
    monkeypatch.setattr(sys, "argv", call.split())
    command_line.main()
    out, err = capfd.readouterr()
    result = json.loads(out)
    files = {path.stem for path in SHARED.glob("*.jsonl")}
    assert set(result["tasks"]) == files - {"triviaqa_small"}
    assert list(result["skipped"]) == ["triviaqa_small"]
    assert {task["questions"] for task in result["tasks"].values()} == {5}
    assert result["tasks"]["boolq"]["chance"] == 0.5
    assert [line.split(":")[0] for line in err.splitlines()] == ["model", "model", "questions", "questions"]
