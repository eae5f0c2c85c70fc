"""JournalVecEnv: exact resume of any Stable-Baselines3 learner after a kill.

An algorithm's own state (optimiser, generators, buffers) need not be saved: the learner is run again from the start
with the same seed, and the journal answers in the environment's place for as long as it can.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from ...env.observation.observation import Batch
from ...lm.io.array_file import check_version
from ...lm.io.errors import InputError
from ...lm.io.json_lines import JsonLines
from ...lm.io.typed_json import Natural, from_json, one_of, text_of_at_most, to_json
from .vec_env import SB3ConsoleVecEnv

SCHEMA = 2  # of a journal; 1 was a binary file, which began with OLD_START
OLD_START = b"PGJ1"
MAX_LINE = 1 << 30  # bytes of a record
OLD_KEY, KEY = "training", "statistics"  # of the observation, before version 1 of the environments and since
CURE = "delete it to start anew, or restore it"
DTYPES = tuple(np.dtype(code).str for code in "?bhilqBHILQefd")  # none that could hold an object

Record = dict[str, np.ndarray]
Step = tuple[np.ndarray, Batch, np.ndarray, np.ndarray, list[dict[str, Any]]]  # actions, then what step_wait returns


@dataclass(frozen=True)
class Head:
    """The first line of a journal."""

    kind: Literal["journal"] = "journal"
    schema: int = SCHEMA


@dataclass(frozen=True)
class ArrayText:
    """An array as text: data is the base64 of its bytes, in C order."""

    dtype: Annotated[str, one_of(*DTYPES)]
    shape: tuple[Natural, ...]
    data: Annotated[str, text_of_at_most(MAX_LINE)]

    @classmethod
    def of(cls, array: np.ndarray) -> "ArrayText":
        """InputError: an array of objects, which would have to be pickled."""
        one_of(*DTYPES)(array.dtype.str, "the dtype of an array for a journal")
        return cls(array.dtype.str, array.shape, base64.b64encode(array.tobytes()).decode())

    def array(self) -> np.ndarray:
        """ValueError: the data do not fit."""
        data = base64.b64decode(self.data, validate=True)
        return np.frombuffer(data, self.dtype).reshape(self.shape).copy()


@dataclass(frozen=True)
class Line:
    """A record of a journal: arrays by name, and the SHA-256 of their JSON."""

    sha256: str
    arrays: dict[str, ArrayText]

    @classmethod
    def of(cls, record: Record) -> "Line":
        arrays = {name: ArrayText.of(array) for name, array in record.items()}
        return cls(_digest(arrays), arrays)

    def record(self, where: str) -> Record:
        """InputError: the arrays are not those that were written."""
        try:
            if self.sha256 != _digest(self.arrays):
                raise ValueError("its SHA-256 is not that of its arrays")
            return {name: each.array() for name, each in self.arrays.items()}
        except ValueError as error:
            raise InputError(f"{where} is damaged ({error}): {CURE}") from None


def _digest(arrays: dict[str, ArrayText]) -> str:
    return hashlib.sha256(json.dumps(to_json(arrays), sort_keys=True).encode()).hexdigest()


class Journal:
    """An append-only file of records of arrays: a record is there whole or not at all. Nothing is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = JsonLines(path, MAX_LINE)

    def append(self, record: Record) -> None:
        """Add a record at the end and wait until it is on disk."""
        self._log.append([to_json(Line.of(record))], heading=to_json(Head()))

    def read(self) -> list[Record]:
        """All whole records, none if there is no file; what a kill left of a last one is passed over. InputError: the
        file is damaged elsewhere, or of an earlier version."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                if file.read(len(OLD_START)) == OLD_START:
                    check_version(str(self.path), 1, SCHEMA)
        lines = self._log.read(CURE)
        if head := next(lines, None):
            where, value = head
            check_version(str(self.path), from_json(Head, value, where).schema, SCHEMA)
        return [_renamed(from_json(Line, value, where).record(where)) for where, value in lines]


def _renamed(record: Record) -> Record:
    """A record with the observation's present keys."""
    old = {f"{part}{OLD_KEY}": f"{part}{KEY}" for part in ("", "seen.", "last.")}
    return {old.get(name, name): array for name, array in record.items()}


class JournalVecEnv(VecEnvWrapper):
    """Writes every batch of episodes, all slots from begin to end, to an append-only file.

    On a file that holds batches, the learner's actions must equal the recorded ones bit for bit; it gets the recorded
    answers, and the environment is not touched. The step after those resets the environment to the episode that is
    due, checks that it shows the recorded observation, and goes on. One journal is one call of `learn`.

    The learner must seed the environment, as every algorithm with a seed does. Of infos, the endings are kept."""

    venv: SB3ConsoleVecEnv

    def __init__(self, venv: SB3ConsoleVecEnv, path: Path) -> None:
        super().__init__(venv)
        self.path = path
        self._journal = Journal(path)
        first, *batches = self._journal.read() or [{}]
        self._first: Record = first  # the first observation, and the number of its episode
        self._replay = [step for batch in batches for step in _unpack(batch)]
        self.num_recorded, self._replayed = len(batches), 0  # batches of episodes; steps
        self._shown: Batch = {}  # the observation the learner saw last
        self._actions = np.zeros(0)
        self._batch: list[Step] = []  # in flight
        self._live = False

    @property
    def replaying(self) -> bool:
        """True while answers come from the file."""
        return self._replayed < len(self._replay)

    def reset(self) -> Batch:
        if self._shown:
            raise InputError(f"{self.path} records one call of learn: name another file for another")
        if not self._first:
            self._shown = self.venv.reset()
            self._live = True
            self._first = {"episode": np.array(self.venv.episode), **self._shown}
            self._journal.append(self._first)
        else:
            self._shown = {key: value for key, value in self._first.items() if key != "episode"}
        return {key: value.copy() for key, value in self._shown.items()}

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions.copy()
        if self.replaying:
            recorded = self._replay[self._replayed][0]
            if actions.dtype != recorded.dtype or actions.tobytes() != recorded.tobytes():
                raise InputError(
                    f"{self.path}: step {self._replayed} has other actions on record: the journal belongs to another "
                    "configuration, seed or version; start anew in another folder"
                )
            return
        if not self._live:
            self._go_live()
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        if self.replaying:
            _, self._shown, rewards, dones, infos = self._replay[self._replayed]
            self._replayed += 1
        else:
            seen, rewards, dones, infos = self.venv.step_wait()
            assert isinstance(seen, dict)
            self._shown = seen
            self._batch.append((self._actions, seen, rewards.copy(), dones.copy(), infos))
            if len(self._batch) == self.venv.horizon:
                self._journal.append(_pack(self._batch))
                self._batch = []
        return {key: value.copy() for key, value in self._shown.items()}, rewards, dones, infos

    def _go_live(self) -> None:
        self.venv.set_options({"episode": int(self._first["episode"]) + self.num_recorded})
        observation = self.venv.reset()
        if any(value.tobytes() != self._shown[key].tobytes() for key, value in observation.items()):
            raise InputError(
                f"{self.path}: the environment does not show what it showed after recorded batch {self.num_recorded}: "
                "the journal belongs to another corpus, setting or machine; start anew in another folder"
            )
        self._live = True


def _pack(steps: list[Step]) -> Record:
    """T steps as arrays with a leading T, and the E endings of episodes in them as arrays with a leading E."""
    actions, observations, rewards, dones, infos = zip(*steps, strict=True)
    ends = np.argwhere(np.stack(dones))
    endings = [infos[step][slot] for step, slot in ends]
    record = {"actions": np.stack(actions), "rewards": np.stack(rewards), "dones": np.stack(dones), "ends": ends}
    record["truncated"] = np.array([info["TimeLimit.truncated"] for info in endings])
    for key in observations[0]:
        record[f"seen.{key}"] = np.stack([observation[key] for observation in observations])
        record[f"last.{key}"] = np.stack([info["terminal_observation"][key] for info in endings])
    return record


def _unpack(record: Record) -> list[Step]:
    keys = [name.removeprefix("seen.") for name in record if name.startswith("seen.")]
    num_steps, num_slots = record["dones"].shape
    infos: list[list[dict[str, Any]]] = [[{} for _ in range(num_slots)] for _ in range(num_steps)]
    for index, (step, slot) in enumerate(record["ends"]):
        last = {key: record[f"last.{key}"][index] for key in keys}
        infos[step][slot] = {"terminal_observation": last, "TimeLimit.truncated": bool(record["truncated"][index])}
    return [
        (
            record["actions"][step],
            {key: record[f"seen.{key}"][step] for key in keys},
            record["rewards"][step].copy(),
            record["dones"][step],
            infos[step],
        )
        for step in range(num_steps)
    ]
