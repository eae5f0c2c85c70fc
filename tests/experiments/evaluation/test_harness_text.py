"""Tasks of lm-evaluation-harness as text, without a network."""

import json
from pathlib import Path

import pytest

from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.evaluation.harness_text import benchmark_records
from pretraingym.lm.corpus.corpus import REFERENCE_PARTS, Corpus
from pretraingym.lm.io.errors import InputError

YAML = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
{files}
{splits}
output_type: multiple_choice
doc_to_text: "{{{{question}}}}\\nAnswer:"
doc_to_target: answer
doc_to_choice: "{{{{choices}}}}"
"""


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def task(folder: Path, *splits: str) -> Path:
    """The YAML of a task of eight questions in each split."""
    for split in splits:
        rows = [{"question": f"{split} {i}?", "choices": ["no", f"yes {i}"], "answer": 1} for i in range(8)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = {"training": "train", "validation": "validation", "test": "test"}
    files = "\n".join(f"    {names[split]}: {folder / split}.jsonl" for split in splits)
    lines = "\n".join(f"{split}_split: {names[split]}" for split in splits)
    path = folder / "mine.yaml"
    path.write_text(YAML.format(name="mine", files=files, splits=lines))
    return path


def test_the_split_that_is_scored_stays_unseen(tmp_path: Path) -> None:
    texts = [record.values["text"] for record in benchmark_records(str(task(tmp_path, "training", "test")))]
    assert texts == [f"training {i}?\nAnswer: yes {i}" for i in range(8)]


def test_a_task_of_one_split_warns(tmp_path: Path) -> None:
    path = task(tmp_path, "test")
    with pytest.warns(UserWarning, match="benchmark 'mine' has documents of its test split alone, on which it is"):
        assert len(list(benchmark_records(str(path)))) == 8


@pytest.mark.filterwarnings("ignore:reference task .* standard error of")
@pytest.mark.filterwarnings("ignore:.* of the training tokens")
def test_a_corpus_with_a_benchmark_as_its_task(tmp_path: Path) -> None:
    path, text = task(tmp_path, "training", "test"), tmp_path / "text.jsonl"
    text.write_text("".join(json.dumps({"text": f"text {i}"}) + "\n" for i in range(9)))
    words = f"corpus build --corpus {tmp_path / 'c'} --files {text} --reference b lm-eval:{path} --agents"
    work, config = parse(words.split())
    work(config)
    corpus = Corpus.open(tmp_path / "c")
    found = [[corpus.text(d)[9] for d in corpus.splits[f"b/{part}"]] for part in REFERENCE_PARTS]
    assert found == [["0", "1", "2", "3"], ["4", "5"], ["6", "7"]]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("arc_eazy", "lm-evaluation-harness has no task 'arc_eazy'; `lm_eval ls tasks` lists them"),
        ("arc_easy", "benchmark 'arc_easy' cannot be loaded: .*; its data come from the network unless"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_a_line(name: str, line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        list(benchmark_records(name))
    assert "\n" not in str(error.value)
