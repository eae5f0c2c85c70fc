"""A finished run, read back from its folder: what the report shows."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ..analysis.statistics import NATURAL, Gain, losses_by_seed, paired_gain

Row = dict[str, Any]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class RunRecord:
    """config.json and results.json as they are, and the rows of metrics.jsonl by their stage."""

    config: dict[str, Any]
    results: dict[str, Any]
    rows: dict[str, list[Row]]

    @classmethod
    def read(cls, folder: Path) -> "RunRecord":
        """InputError names the file that is missing or is not JSON."""
        rows: dict[str, list[Row]] = {}
        for number, line in enumerate(_text(folder / "metrics.jsonl").splitlines(), 1):
            row = _json(line, f"{folder / 'metrics.jsonl'} line {number}")
            rows.setdefault(row["stage"], []).append(row)
        config, results = (_json(_text(folder / name), str(folder / name)) for name in ("config.json", "results.json"))
        return cls(config, results, rows)

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """Names, the lowest test loss first."""
        table = self.results["policies"]
        return tuple(sorted(table, key=lambda name: table[name]["test_loss_mean"]))

    @property
    def learned(self) -> str | None:
        """The best policy whose name begins with "learned"."""
        return next((name for name in self.policies if name.startswith("learned")), None)

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Reference tasks that every interval of every target run measured."""
        measured = [row["validation_loss_nats"].keys() for row in self.rows.get("target", [])]
        return tuple(task for task in (measured[0] if measured else ()) if all(task in tasks for tasks in measured))

    @property
    def seeds(self) -> int:
        """How many seeds the policies were compared on."""
        return len({row["seed"] for row in self.rows.get("target-final", [])})

    def gains(self) -> dict[str, Gain]:
        """Rival -> gain of the learned policy over it, natural first. Empty without a learned policy."""
        losses = losses_by_seed(self.rows.get("target-final", []))
        rivals = sorted((name for name in losses if name != self.learned), key=lambda name: name != NATURAL)
        return {name: paired_gain(losses[self.learned], losses[name]) for name in rivals} if self.learned else {}

    def curve(self, policy: str, task: str) -> tuple[Array, Array]:
        """Tokens (I,) and validation losses in nats (S, I) of a policy's runs, seeds in order."""
        runs = self._runs(policy)
        losses = [[row["validation_loss_nats"][task] for row in run] for run in runs]
        return np.array([row["tokens"] for row in runs[0]], dtype=float), np.array(losses)

    def weights(self, policy: str) -> tuple[Array, tuple[str, ...], Array]:
        """Tokens (I,) at the end of each interval, agents (K,) and the weights in force, mean over seeds (I, K)."""
        runs = self._runs(policy)
        agents = tuple(runs[0][0]["weights"])
        weights = np.array([[[row["weights"][agent] for agent in agents] for row in run] for run in runs])
        return np.array([row["tokens"] for row in runs[0]], dtype=float), agents, weights.mean(axis=0)

    def _runs(self, policy: str) -> list[list[Row]]:
        """A policy's target rows, one list a seed, intervals in order."""
        runs: dict[int, list[Row]] = {}
        for row in self.rows["target"]:
            if row["policy"] == policy:
                runs.setdefault(row["seed"], []).append(row)
        return [sorted(runs[seed], key=lambda row: row["interval"]) for seed in sorted(runs)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; a report needs a finished run: finish it with --resume") from None


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where} is not JSON ({error.msg}); a report needs a finished run: finish it with --resume"
        ) from None
