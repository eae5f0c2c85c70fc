"""Surrogate dynamics fitted to records of real runs: what each category of text is worth to each reference task."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.typed_json import Axes, Natural, exact_keys, from_json, keys_of, one_of, parse_json, to_json
from ...lm.io.typed_json import number as finite
from ...lm.surrogate import Dynamics
from ..scenarios.task import Task

FORMAT = "pretraingym surrogate 1"
MAX_BYTES = 64 << 20
LEAST_WORTH = 0.05  # of a fresh token, where one of natural text is worth 1: no text undoes what was learned
START = Dynamics.start  # budgets: see the loss below

Array = NDArray[np.float64]


def _from_0_up(value: Any, where: str) -> None:
    finite(value, where)
    if value < 0:
        raise InputError(f"{where} is {value:g}, expected numbers from 0 up: fit it anew")


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
    natural: dict[str, Annotated[Array, Axes(("categories",))]]
    theta: dict[str, Annotated[Array, Axes(("categories", "T"))]]
    floor_T: Annotated[Array, Axes(("T",), each=_from_0_up)]
    amplitude_T: Annotated[Array, Axes(("T",), each=_from_0_up)]
    exponent_T: Annotated[Array, Axes(("T",), each=_from_0_up)]
    loss_sd: Annotated[float, _from_0_up]
    episodes: Natural

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {"format": FORMAT, **to_json(self)}

    @classmethod
    def from_json(cls, value: Any, where: str) -> "FittedDynamics":
        """InputError: a key, type, shape or number is wrong; `where` begins the line."""
        exact_keys(value, ["format", *keys_of(cls)], where)
        one_of(FORMAT)(value["format"], f"{where}.format")
        tasks = from_json(tuple[str, ...], value["tasks"], f"{where}.tasks")
        columns = from_json(dict[str, tuple[str, ...]], value["columns"], f"{where}.columns")
        categories = {name: len(names) for name, names in columns.items()}
        fields = {key: item for key, item in value.items() if key != "format"}
        return from_json(cls, fields, where, {"T": len(tasks), "categories": categories})

    @classmethod
    def load(cls, path: Path) -> "FittedDynamics":
        """What `pretraingym surrogate fit` wrote at `path`. InputError: no file is there, or another one."""
        if not path.is_file():
            raise InputError(f"{path} is not a file: give the surrogate.json that `pretraingym surrogate fit` wrote")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes, expected at most {MAX_BYTES}: fit it anew")
        return cls.from_json(parse_json(path.read_bytes(), str(path), "fit it anew"), str(path))

    def dynamics(self, task: Task, budget_tokens: float, influence_noise: float) -> Dynamics:
        """Dynamics for the cells and tasks of `task`, where a run of `budget_tokens` corresponds to a whole recorded
        run. InputError: `task` has other reference tasks, or a label column is missing or has other categories."""
        if task.reference_tasks != self.tasks:
            raise InputError(
                f"the surrogate was fitted for the tasks {self.tasks}, the corpus has {task.reference_tasks}"
            )
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
