"""pretraingym export: a learned policy as one ONNX file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...lm.io.errors import InputError
from ...policies.registry import make_policy
from ...policies.saved.learned import LearnedPolicy


@dataclass(frozen=True)
class ExportConfig:
    """Write a learned policy as an ONNX file that maps observations to weights, for any number of runs and agents."""

    policy: str = "ten-tasks"
    """a learned policy: its run folder, its policy.json, or the name of a shipped one"""
    file: Path = Path("policy.onnx")
    """file to write"""


def main(config: ExportConfig) -> dict[str, Any]:
    """Write the file; return its path and size."""
    policy = make_policy(config.policy)
    if not isinstance(policy, LearnedPolicy):
        raise InputError(f"policy '{config.policy}' is a rule; expected a learned one, a run folder or a shipped name")
    if not config.file.parent.is_dir():
        raise InputError(f"no folder {config.file.parent}: make it, or name another --file")
    from ...policies.onnx_export import export_onnx

    export_onnx(policy, config.file)
    return {"file": str(config.file), "bytes": config.file.stat().st_size}
