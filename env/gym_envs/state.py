"""What users do with an environment as a whole: take its state, put it back, copy it, close it."""

import copy
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from gymnasium.envs.registration import EnvSpec

from ...lm.io.errors import InputError
from ...lm.io.state import State, json_as_array, json_in_array
from ..scenarios.scenario import Scenario
from .arguments import FromArguments
from .paired_runs import PairedRuns

JSON = "arguments", "scenario", "base_seed", "records/partial", "generator"
OF_ANY_LENGTH = *JSON, "given_seeds", "controls/pairs", "controls/falls"


class Stateful(FromArguments):
    """What both environments have: `get_state`, `set_state` and `fork`, which `copy.deepcopy` is too; pickle; and the
    refusal of use after `close`."""

    closed: bool = False
    _np_random: np.random.Generator | None
    _np_random_seed: int | None

    def require_open(self) -> None:
        """InputError: it was closed."""
        if self.closed:
            raise InputError("the environment was closed: make another")

    def get_state(self) -> State:
        """All that the coming steps and resets depend on, as arrays that are nobody else's: `numpy.savez` takes them
        without pickle. Random numbers of the spaces' `sample` are not part of it."""
        self.require_open()
        generator = None if self._np_random is None else self._np_random.bit_generator.state
        generator_state = {"np_random": generator, "np_random_seed": self._np_random_seed}
        return self.runs.state_dict() | {"generator": json_as_array(generator_state)}

    def set_state(self, state: State) -> None:
        """Go on exactly where `get_state` was taken, of an environment with the same arguments. InputError: of another
        one; this one is then as it was."""
        self.require_open()
        _check(state, self.get_state())
        self.runs.load_state_dict(state)
        generator_state = json_in_array(state["generator"])
        self._np_random, self._np_random_seed = (
            _generator(generator_state["np_random"]),
            generator_state["np_random_seed"],
        )

    def fork(self) -> Self:
        """A new environment in the same state, which goes its own way; it shares the task, which is only read."""
        self.require_open()
        twin, runs = object.__new__(type(self)), self.runs  # `copy.copy` would make another by `__reduce__`
        twin.__dict__.update(self.__dict__)
        twin.runs = PairedRuns(
            runs.task,
            runs.setting,
            num_envs=runs.num_envs,
            group_size=runs.group_size,
            reward=runs.reward,
            distribution=runs.distribution,
            autoreset_mode=runs.autoreset_mode,
            records=runs.records,
        )
        for name, value in vars(self).items():
            if name.endswith("_space") or name == "metadata":
                setattr(twin, name, copy.deepcopy(value))
        twin.set_state(self.get_state())
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.fork()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _made_again, (type(self), self.arguments, self.spec, self.get_state())


def _made_again(kind: type[Any], arguments: dict[str, Any], spec: EnvSpec | None, state: State) -> Any:
    """What was pickled: the corpus is opened anew."""
    env = kind(**arguments)
    env.spec = spec
    env.set_state(state)
    return env


def _check(state: State, own: State) -> None:
    """InputError where `state` is not of an environment such as that which has `own`."""
    if missing := sorted(set(own) ^ set(state)):
        raise InputError(f"the state has other parts than this environment's: {', '.join(missing[:3])}")
    try:
        parts = {name: json_in_array(state[name]) for name in JSON}
    except ValueError as error:
        raise InputError(f"the state has parts that are not JSON ({error}): it is damaged") from None
    if parts["scenario"] is not None:
        Scenario.from_json(parts["scenario"])
    theirs, ours = parts["arguments"], json_in_array(own["arguments"])
    for name, value in ours.items():
        if theirs.get(name) != value:
            raise InputError(f"the state is of an environment with {name} {theirs.get(name)}, this one has {value}")
    for name, array in own.items():
        given = state[name]
        fixed = 1 if name in OF_ANY_LENGTH else 0  # lengths are compared from this axis on
        if given.dtype != array.dtype or given.ndim != array.ndim or given.shape[fixed:] != array.shape[fixed:]:
            raise InputError(
                f"the state has '{name}' as {given.dtype} {given.shape}, expected {array.dtype} {array.shape}"
            )


def _generator(state: dict[str, Any] | None) -> np.random.Generator | None:
    if state is None:
        return None
    generator = np.random.Generator(getattr(np.random, state["bit_generator"])())
    generator.bit_generator.state = state
    return generator
