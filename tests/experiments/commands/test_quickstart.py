"""The main job on a tiny corpus: its output contract, exact resume after kills, one-line errors with exit code 2."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from pretraingym.env.recording.record_file import read_records
from pretraingym.experiments.__main__ import main
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.tokenizer import train_tokenizer

CLOCK = {
    "num-intervals": 3,
    "steps-per-interval": 3,
    "batch-windows": 4,
    "warmup-steps": 1,
    "probe-windows": 16,
    "reference-windows": 4,
    "validation-windows": 8,
    "final-windows": 8,
}


def sizes(role: str, width: int) -> list[str]:
    clock = [word for name, value in CLOCK.items() for word in (f"--{role}.episode.{name}", str(value))]
    return [f"--{role}.width", str(width), f"--{role}.num-layers", "1", f"--{role}.context", "16", *clock]


def command(corpus: Corpus, folder: Path, *more: str) -> list[str]:
    tiny = [*sizes("proxy", 16), *sizes("target", 80), "--learn.episodes", "48", "--seeds", "2"]
    call = [sys.executable, "-m", "pretraingym.experiments", "quickstart", "--corpus", str(corpus.path)]
    return [*call, "--folder", str(folder), *tiny, *more]


def run(call: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(call, cwd=cwd, capture_output=True, text=True, timeout=200)


@pytest.fixture(scope="module")
def finished(tiny_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("quickstart") / "run"
    done = run(command(tiny_corpus, folder), folder.parent)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_last_line_and_files(finished: tuple[Path, dict[str, object]]) -> None:
    folder, last = finished
    assert json.loads((folder / "results.json").read_text()) == last
    assert last["target_params"] >= 8 * last["proxy_params"]  # type: ignore[operator]
    assert last["episodes"] == 48
    policies = last["policies"]
    assert isinstance(policies, dict)
    assert set(policies) == {"natural", "uniform", "paper-rule", "agreement", "lift", "learned-response"}
    for row in policies.values():
        measured = ("test_loss_mean", "test_loss_sd", "gain_nats", "gain_sd", "gain_ci95", "speedup")
        assert [key for key in measured if row[key] is None] == []
    assert policies["natural"]["gain_nats"] == 0
    # 60 runs (12 controls) of a ninth of the parameters, on the target's number of tokens, and what they cost on top.
    share = last["profile"]["proxy"]  # type: ignore[index]
    runs = 60 * sum(share.values()) / share["train"]
    assert last["learning_cost_in_target_runs"] == pytest.approx(runs / 9.6, rel=0.1)
    report = (folder / "report.html").read_text()
    assert "learned-response" in report
    episodes = read_records(folder / "episodes.jsonl")[1]
    assert [sum(episode.control == control for episode in episodes) for control in (False, True)] == [48, 12]
    assert "https://" not in report.replace("https://arxiv.org", "")


def test_it_learns_for_the_mixture_that_its_target_is_trained_for(finished: tuple[Path, dict[str, object]]) -> None:
    lines = [json.loads(line) for line in (finished[0] / "episodes.jsonl").read_text().splitlines()]
    scenarios = [line["scenario"] for line in lines if line["kind"] == "episode"]
    mixtures = {json.dumps(sorted(scenario["reference"])) for scenario in scenarios}
    assert mixtures == {'[["code", 0.25], ["prose", 0.75]]'}
    assert len({scenario["null"] for scenario in scenarios}) > 1, "among them null ones"


def test_target_is_a_transformers_folder(finished: tuple[Path, dict[str, object]], tiny_corpus: Corpus) -> None:
    folder, last = finished
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    assert sum(parameter.numel() for parameter in model.parameters()) == last["target_params"]
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    text = tiny_corpus.text(0)
    ids = tokenizer(text)["input_ids"]
    start, stop = tiny_corpus.token_offsets[:2]
    assert [*ids, tokenizer.eos_token_id] == list(tiny_corpus.tokens[start:stop])
    assert torch.isfinite(model(input_ids=torch.tensor([ids[:16]])).logits).all()


def metrics(folder: Path) -> list[str]:
    return (folder / "metrics.jsonl").read_text().splitlines()


def test_killed_runs_end_with_the_same_numbers(
    finished: tuple[Path, dict[str, object]], tiny_corpus: Corpus, tmp_path: Path
) -> None:
    whole, _ = finished
    folder = tmp_path / "run"
    # While learning; with a checkpoint of a target run in hand and rows behind it; in the runs of another seed.
    for marker in ('"episodes": 32', '"seed": 0, "interval": 2', '"seed": 1, "interval": 3'):
        process = subprocess.Popen(
            command(tiny_corpus, folder, "--resume"), cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        while process.poll() is None and not _holds(folder / "metrics.jsonl", marker):
            pass
        process.kill()
        assert process.wait() != 0, f"it ended before {marker} was seen"
    done = run(command(tiny_corpus, folder, "--resume"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert metrics(folder) == metrics(whole)
    for name in ("policy.safetensors", "model/model.safetensors"):
        for key, value in load_file(folder / name).items():
            np.testing.assert_array_equal(value, load_file(whole / name)[key], err_msg=f"{name}: {key}")
    ran = [  # an episode that a kill made run twice is there twice
        {(e.seed, e.control, e.weights_IK.tobytes(), e.loss.tobytes()) for e in read_records(each)[1]}
        for each in (folder / "episodes.jsonl", whole / "episodes.jsonl")
    ]
    assert ran[0] == ran[1]


def _holds(path: Path, marker: str) -> bool:
    return path.exists() and marker in path.read_text()


def test_finished_runs_can_be_shown_again(finished: tuple[Path, dict[str, object]], tiny_corpus: Corpus) -> None:
    folder, last = finished
    again = run(command(tiny_corpus, folder, "--resume"), folder.parent)
    assert json.loads(again.stdout.splitlines()[-1])["policies"] == last["policies"]


def pretrain(corpus: Corpus, *more: str) -> list[str]:
    call = [sys.executable, "-m", "pretraingym.experiments", "pretrain", "--corpus", str(corpus.path)]
    return [*call, *sizes("target", 32), "--no-trial", *more]


def test_a_learned_policy_drives_a_target_of_its_own(
    finished: tuple[Path, dict[str, object]], tiny_corpus: Corpus, tmp_path: Path
) -> None:
    GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=16).save_pretrained(tmp_path / "gpt2")
    call = pretrain(tiny_corpus, "--policy", str(finished[0]), "--target.model", "gpt2", "--folder", "out")
    done = run(call, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["policy"] == str(finished[0])
    assert isinstance(AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model"), GPT2LMHeadModel)


def test_a_target_with_a_tokenizer_of_its_own(
    finished: tuple[Path, dict[str, object]], tiny_corpus: Corpus, tmp_path: Path
) -> None:
    """The same text, labels and policy in other tokens, compared in bits a byte."""
    corpus = Corpus.open(Path(shutil.copytree(tiny_corpus.path, tmp_path / "corpus")))
    train_tokenizer(corpus.texts[:200], 300).save(str(tmp_path / "tokenizer.json"))
    call = pretrain(corpus, "--policy", str(finished[0]), "--target.tokenizer", str(tmp_path), "--folder", "out")
    done = run(call, tmp_path)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    other = corpus.with_tokenizer(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model")
    assert model.config.vocab_size == other.vocab_size == 300
    for task in corpus.reference_tasks:
        tokens = len(
            AutoTokenizer.from_pretrained(tmp_path / "out" / "model")("".join(texts_of(corpus, task)))["input_ids"]
        )
        size = sum(len(text.encode()) for text in texts_of(corpus, task))
        bits = last["test_loss_nats"][task] / np.log(2) * tokens / size
        assert last["test_bits_per_byte"][task] == pytest.approx(bits, rel=0.01)


def texts_of(corpus: Corpus, task: str) -> list[str]:
    return [corpus.text(document) for document in corpus.splits[f"{task}/test"]]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--policy", "agrement"], "unknown policy 'agrement'; did you mean 'agreement'?"),
        (
            ["--policy", "natural", "--target.agents", "null", "qualty"],
            "unknown agent 'qualty'; did you mean 'quality'?",
        ),
        (["--policy", "natural", "--corpus", "nowhere"], "nowhere"),
        (["--policy", "natural", "--target.episode.num-intervals", "0"], "the budget is smaller than one interval"),
        (["--policy", "natural", "--reference", "poetry", "1"], "unknown reference task 'poetry'"),
        (["--policy", "only:qualty"], "no agent 'qualty' here; did you mean 'quality'?"),
        (["--policy", "natural", "--target.agents", "null", "influence"], "expected at least one of domain"),
        (["--policy", "natural", "--target.agents", "quality"], "expected distinct names, null first"),
        (["--policy", "natural", "--target.width", "129"], "width 129 cannot be split into 2 heads"),
        (["--policy", "natural", "--target.device", "cuda:99"], "device is 'cuda:99', which torch cannot use"),
        (["--policy", "natural", "--target.device", "gpu"], "device is 'gpu', expected one of cpu, cuda, mps, xpu"),
        (["--policy", "natural", "--target.context", "1"], "context is 1, expected at least 2"),
        (["--policy", "natural", "--target.episode.probe-windows", "0"], "probe_windows is 0, expected at least 1"),
        (["--policy", "natural", "--target.tokenizer", "nowhere"], "no tokenizer.json in nowhere"),
        (["--policy", "natural", "--target.agents", "null", "perplexity"], "has no labels of agent 'perplexity'"),
        (["--policy", "natural", "--seed", "-1"], "seed is -1, expected a whole number from 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tiny_corpus: Corpus,
    tmp_path: Path,
    more: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own: put back after the test
    monkeypatch.setattr(sys, "argv", ["pretraingym", *pretrain(tiny_corpus)[3:], "--folder", "out", *more])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("pretraingym:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not out
    assert not (tmp_path / "out").exists()
