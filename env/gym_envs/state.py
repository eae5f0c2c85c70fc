"""The state of an environment as arrays: taken, put back, and put into a twin."""

import copy
import json
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.state import state_under
from ...lm.io.typed_json import to_json
from ..scenarios.scenario import Scenario
from .paired_runs import PairedRuns

State = dict[str, NDArray]
JSON = "arguments", "scenario", "base_seed", "records", "face"
OF_ANY_LENGTH = *JSON, "given_seeds", "controls/pairs", "controls/falls"


class Stateful:
    """What both faces have: `get_state`, `set_state` and `fork`. For environments over a PairedRuns `runs`."""

    runs: PairedRuns
    _np_random: np.random.Generator | None
    _np_random_seed: int | None

    def get_state(self) -> State:
        """All that the coming steps and resets depend on, as arrays that are nobody else's: `numpy.savez` takes them
        without pickle. Random numbers of the spaces' `sample` are not part of it."""
        generator = None if self._np_random is None else self._np_random.bit_generator.state
        face = {"np_random": generator, "np_random_seed": self._np_random_seed}
        return core_state(self.runs) | {"face": _as_bytes(face)}

    def set_state(self, state: State) -> None:
        """Go on exactly where `get_state` was taken, of an environment with the same arguments. InputError: of another
        one; this one is then as it was."""
        _check(state, self.get_state())
        load_core_state(self.runs, state)
        face = _from_bytes(state["face"])
        self._np_random, self._np_random_seed = _generator(face["np_random"]), face["np_random_seed"]

    def fork(self) -> Self:
        """A new environment in the same state, which goes its own way; it shares the task, which is only read."""
        twin, runs = copy.copy(self), self.runs
        settings = (
            runs.num_envs,
            runs.group_size,
            runs.reward,
            runs.distribution,
            runs.autoreset_mode,
            runs.records,
        )
        twin.runs = PairedRuns(runs.task, runs.setting, *settings)
        for name, value in vars(self).items():
            if name.endswith("_space") or name == "metadata":
                setattr(twin, name, copy.deepcopy(value))
        twin.set_state(self.get_state())
        return twin


def core_state(runs: PairedRuns) -> State:
    """Of runs, numbers, seeds and controls. `arguments` tells what it fits."""
    scenario, controls = runs.scenario, runs.controls
    curves = np.full((len(controls.curves), controls.num_intervals), np.nan)
    for row, curve in zip(curves, controls.curves.values(), strict=True):
        row[: len(curve)] = curve
    given = [[*pair, seed] for pair, seed in runs.given_seeds.items()]
    return {
        "arguments": _as_bytes(_arguments(runs)),
        "scenario": _as_bytes(None if scenario is None else scenario.as_json()),
        "base_seed": _as_bytes(None if runs.base_seed is None else int(runs.base_seed)),
        "number": runs.number_of.copy(),
        "diverged": runs.diverged.copy(),
        "given_seeds": np.array(given, np.int64).reshape(-1, 3),  # group, number, seed
        "controls/number": controls.number_of.copy(),
        "controls/pairs": np.array(list(controls.curves), np.int64).reshape(-1, 2),  # group, number
        "controls/falls": curves,  # nats, NaN: yet to come
        "records": _as_bytes(None if runs.recorder is None else runs.recorder.state()),  # of episodes in the making
        **{f"episode/{key}": value for key, value in runs.episode.state_dict().items()},
        **{f"backend/{key}": value for key, value in runs.episode.backend.state_dict().items()},
    }


def load_core_state(runs: PairedRuns, state: State) -> None:
    """Restore what `core_state` gave."""
    runs.number_of, runs.diverged = state["number"].copy(), state["diverged"].copy()
    runs.given_seeds = {(group, number): seed for group, number, seed in state["given_seeds"].tolist()}
    runs.base_seed, scenario = _from_bytes(state["base_seed"]), _from_bytes(state["scenario"])
    runs.scenario = None if scenario is None else Scenario.from_json(scenario)
    runs.controls.number_of = state["controls/number"].copy()
    runs.controls.curves = {
        (group, number): curve[~np.isnan(curve)].tolist()
        for (group, number), curve in zip(state["controls/pairs"].tolist(), state["controls/falls"], strict=True)
    }
    runs.episode.load_state_dict(state_under("episode/", state))
    runs.episode.backend.load_state_dict(state_under("backend/", state))
    if runs.recorder is not None:
        runs.recorder.load_state(_from_bytes(state["records"]))


def _arguments(runs: PairedRuns) -> dict[str, Any]:
    names = ("num_envs", "group_size", "reward")
    given = {name: getattr(runs, name) for name in names} | {"autoreset_mode": runs.autoreset_mode.value}
    given |= {"distribution": to_json(runs.distribution)}
    return given | {"setting": repr(runs.setting), "corpus": runs.task.corpus.fingerprint}


def _check(state: State, own: State) -> None:
    """InputError where `state` is not of an environment such as that which has `own`."""
    if missing := sorted(set(own) ^ set(state)):
        raise InputError(f"the state has other parts than this environment's: {', '.join(missing[:3])}")
    try:
        parts = {name: _from_bytes(state[name]) for name in JSON}
    except ValueError as error:
        raise InputError(f"the state has parts that are not JSON ({error}): it is damaged") from None
    if parts["scenario"] is not None:
        Scenario.from_json(parts["scenario"])
    theirs, ours = parts["arguments"], _from_bytes(own["arguments"])
    for name, value in ours.items():
        if theirs.get(name) != value:
            raise InputError(f"the state is of an environment with {name} {theirs.get(name)}, this one has {value}")
    for name, array in own.items():
        given = state[name]
        fixed = 1 if name in OF_ANY_LENGTH else 0  # the first axis whose length is
        if given.dtype != array.dtype or given.ndim != array.ndim or given.shape[fixed:] != array.shape[fixed:]:
            raise InputError(
                f"the state has '{name}' as {given.dtype} {given.shape}, expected {array.dtype} {array.shape}"
            )


def _as_bytes(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8).copy()


def _from_bytes(array: NDArray[np.uint8]) -> Any:
    return json.loads(array.tobytes())


def _generator(state: dict[str, Any] | None) -> np.random.Generator | None:
    if state is None:
        return None
    generator = np.random.Generator(getattr(np.random, state["bit_generator"])())
    generator.bit_generator.state = state
    return generator
