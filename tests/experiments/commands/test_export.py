"""pretraingym export: the shipped policy as a file, and what is refused."""

from pathlib import Path

import onnxruntime
import pytest

from pretraingym.experiments.command_line.parsing import parse
from pretraingym.lm.io.errors import InputError


def export(*arguments: str) -> dict[str, object]:
    run, config = parse(["export", *arguments])
    return run(config)


def test_a_shipped_policy_becomes_a_file_that_runs(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    result = export("--policy", "ten-tasks", "--file", str(path))
    assert result == {"file": str(path), "bytes": path.stat().st_size}
    assert [given.name for given in onnxruntime.InferenceSession(path).get_inputs()] == ["agents", "mask", "statistics"]


def test_a_rule_and_a_folder_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="policy 'lift' is a rule"):
        export("--policy", "lift", "--file", str(tmp_path / "policy.onnx"))
    with pytest.raises(InputError, match="no folder .*missing"):
        export("--file", str(tmp_path / "missing" / "policy.onnx"))
