"""A finished run, read back from its folder: what its report shows."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ..analysis.policy_table import PolicyRow, read_table
from ..analysis.statistics import NATURAL, Gain, paired_gain
from ..analysis.target_table import losses_by_seed

Record = dict[str, Any]  # a line of metrics.jsonl
Array = NDArray[np.float64]


@dataclass(frozen=True)
class RunRecord:
    """config.json and results.json as they are; the policies' table, lowest test loss first; metrics: the records of
    metrics.jsonl by their stage."""

    config: dict[str, Any]
    results: dict[str, Any]
    table: dict[str, PolicyRow]
    metrics: dict[str, list[Record]]

    @classmethod
    def read(cls, folder: Path) -> "RunRecord":
        """InputError names the file that is missing or is not as it was written."""
        metrics: dict[str, list[Record]] = {}
        for number, line in enumerate(_text(folder / "metrics.jsonl").splitlines(), 1):
            record = _json(line, f"{folder / 'metrics.jsonl'} line {number}")
            metrics.setdefault(record["stage"], []).append(record)
        config, results = (_json(_text(folder / name), str(folder / name)) for name in ("config.json", "results.json"))
        table = read_table(results["policies"], f"{folder / 'results.json'}.policies")
        return cls(config, results, table, metrics)

    @property
    def policies(self) -> tuple[str, ...]:
        """Names, the lowest test loss first."""
        return tuple(self.table)

    @property
    def learned(self) -> str | None:
        """The best policy whose name begins with "learned"."""
        return next((name for name in self.policies if name.startswith("learned")), None)

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Reference tasks that every interval of every target run measured."""
        measured = [record["validation_loss_nats"].keys() for record in self.metrics.get("target", [])]
        return tuple(task for task in (measured[0] if measured else ()) if all(task in tasks for tasks in measured))

    @property
    def seeds(self) -> int:
        """How many seeds the policies were compared on."""
        return len({record["seed"] for record in self.metrics.get("target-final", [])})

    def gains(self) -> dict[str, Gain]:
        """Rival -> gain of the learned policy over it, natural first. Empty without a learned policy."""
        losses = losses_by_seed(self.metrics.get("target-final", []))
        rivals = sorted((name for name in losses if name != self.learned), key=lambda name: name != NATURAL)
        return {name: paired_gain(losses[self.learned], losses[name]) for name in rivals} if self.learned else {}

    def curve(self, policy: str, task: str) -> tuple[Array, Array]:
        """Tokens (I,) and validation losses in nats (N, I) of a policy's runs, seeds in order."""
        runs = self._runs(policy)
        losses = [[record["validation_loss_nats"][task] for record in run] for run in runs]
        return np.array([record["tokens"] for record in runs[0]], dtype=float), np.array(losses)

    def weights(self, policy: str) -> tuple[Array, tuple[str, ...], Array]:
        """Tokens (I,) at the end of each interval, agents (K,) and the weights in force, mean over seeds (I, K)."""
        runs = self._runs(policy)
        agents = tuple(runs[0][0]["weights"])
        weights_NIK = np.array([[[record["weights"][agent] for agent in agents] for record in run] for run in runs])
        return np.array([record["tokens"] for record in runs[0]], dtype=float), agents, weights_NIK.mean(axis=0)

    def drawn(self, policy: str) -> dict[str, list[Record]]:
        """By label, what a policy's runs had drawn of each category at their end, mean over seeds. Empty for runs of
        before it was counted."""
        ends = [run[-1].get("drawn", {}) for run in self._runs(policy)]
        return {
            label: [_mean([end[label][place] for end in ends]) for place in range(len(rows))]
            for label, rows in ends[0].items()
        }

    def _runs(self, policy: str) -> list[list[Record]]:
        """A policy's target records, one list a seed, intervals in order."""
        runs: dict[int, list[Record]] = {}
        for record in self.metrics["target"]:
            if record["policy"] == policy:
                runs.setdefault(record["seed"], []).append(record)
        return [sorted(runs[seed], key=lambda record: record["interval"]) for seed in sorted(runs)]


def _mean(rows: list[Record]) -> Record:
    """The mean of rows of one category."""
    return {
        key: value if key in ("category", "others") else float(np.mean([row[key] for row in rows]))
        for key, value in rows[0].items()
    }


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
