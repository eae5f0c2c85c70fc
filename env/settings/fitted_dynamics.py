"""Surrogate dynamics fitted to records of real runs: what each category of text is worth to each reference task."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.io import json_schema as schema
from ...lm.io.errors import InputError
from ...lm.surrogate import Dynamics
from ..scenarios.task import Task

FORMAT = "pretraingym surrogate 1"
MAX_BYTES = 64 << 20
LEAST_WORTH = 0.05  # of a fresh token, where one of natural text is worth 1: no text undoes what was learned
START = Dynamics.start  # budgets: see the loss below

Array = NDArray[np.float64]

_names = schema.items(schema.text)
_CHECK = schema.record(
    {
        "format": schema.one_of(FORMAT),
        "fingerprint": schema.text,
        "tasks": _names,
        "columns": schema.mapping(_names),
        "natural": schema.anything,
        "theta": schema.anything,
        **dict.fromkeys(("floor", "amplitude", "exponent"), schema.anything),
        "loss_sd": schema.number,
        "episodes": schema.natural,
    }
)


@dataclass(frozen=True)
class FittedDynamics:
    """Dynamics of T tasks and A label columns. To a task, a fresh token is worth 1 + the sum over columns of theta of
    its category, less the mean of theta over natural text, and at least LEAST_WORTH.

    fingerprint: of the corpus of the recorded runs; columns: the names of each column's categories; natural: by column,
    (categories,), their shares of the corpus's tokens; theta: by column, (categories, T); floor_T and amplitude_T in
    nats per token, and exponent_T: the loss is floor + amplitude * (START + effective budgets) ** -exponent; loss_sd:
    nats, the residual of final losses, of noise between runs and misfit together; episodes: how many were fitted."""

    fingerprint: str
    tasks: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    natural: dict[str, Array]
    theta: dict[str, Array]
    floor_T: Array
    amplitude_T: Array
    exponent_T: Array
    loss_sd: float
    episodes: int

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "tasks": list(self.tasks),
            "columns": {name: list(names) for name, names in self.columns.items()},
            "natural": {name: shares.tolist() for name, shares in self.natural.items()},
            "theta": {name: theta.tolist() for name, theta in self.theta.items()},
            "floor": self.floor_T.tolist(),
            "amplitude": self.amplitude_T.tolist(),
            "exponent": self.exponent_T.tolist(),
            "loss_sd": self.loss_sd,
            "episodes": self.episodes,
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> "FittedDynamics":
        """InputError: a key, type, shape or number is wrong; `where` begins the line."""
        _CHECK(value, where)
        tasks, columns = tuple(value["tasks"]), {name: tuple(names) for name, names in value["columns"].items()}
        for name in ("natural", "theta"):
            schema.record(dict.fromkeys(columns, schema.anything))(value[name], f"{where}.{name}")

        def read(name: str, *shape: int) -> dict[str, Array]:
            return {
                column: schema.floats(value[name][column], (len(names), *shape), f"{where}.{name}.{column}")
                for column, names in columns.items()
            }

        curve = [schema.floats(value[name], (len(tasks),), f"{where}.{name}") for name in _CURVE]
        for name, numbers in [*zip(_CURVE, curve, strict=True), ("loss_sd", np.array([value["loss_sd"]]))]:
            if (numbers < 0).any():
                raise InputError(f"{where}.{name} is {numbers.min():g}, expected numbers from 0 up: fit it anew")
        return cls(
            value["fingerprint"], tasks, columns, read("natural"), read("theta", len(tasks)), *(curve[0], curve[1]),
            curve[2], float(value["loss_sd"]), value["episodes"],
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "FittedDynamics":
        """What `pretraingym surrogate fit` wrote at `path`. InputError: no file is there, or another one."""
        if not path.is_file():
            raise InputError(f"{path} is not a file: give the surrogate.json that `pretraingym surrogate fit` wrote")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes, expected at most {MAX_BYTES}: fit it anew")
        return cls.from_json(schema.parse_json(path.read_bytes(), str(path), "fit it anew"), str(path))

    def dynamics(self, task: Task, budget_tokens: float, influence_noise: float) -> Dynamics:
        """Dynamics for the cells and tasks of `task`, where a run of `budget_tokens` corresponds to a whole recorded
        run. InputError: `task` has other reference tasks, or a label column is missing or has other categories."""
        if task.tasks != self.tasks:
            raise InputError(f"the surrogate was fitted for the tasks {self.tasks}, the corpus has {task.tasks}")
        worth_CT, columns = np.ones((task.cells.num_cells, len(self.tasks))), list(task.layout.columns)
        for name, names in self.columns.items():
            here = tuple(task.layout.columns[name].names) if name in columns else None
            if here != names:
                raise InputError(
                    f"the surrogate was fitted to label column '{name}' with categories {str(names)[:80]}, here they "
                    f"are {str(here)[:80]}: use the corpus that it was fitted on, with the same agents"
                )
            centred = self.theta[name] - self.natural[name] @ self.theta[name]
            worth_CT += centred[task.cells.labels_CA[:, columns.index(name)].astype(np.intp)]
        worth_CT = np.maximum(worth_CT, LEAST_WORTH)
        return Dynamics(
            worth_CT,
            worth_CT,
            budget_tokens,
            floor=self.floor_T,
            amplitude=self.amplitude_T,
            exponent=self.exponent_T,
            start=START,
            loss_sd=self.loss_sd,
            influence_noise=influence_noise,
        )


_CURVE = ("floor", "amplitude", "exponent")
