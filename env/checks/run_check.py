"""The check of a started agent: what must hold of its priorities and of its state in any runs."""

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Labels
from ...lm.io.errors import InputError
from ..agents.base import Agent, Array
from ..text.corpus_text import CorpusText
from .global_seeds import global_seeds
from .trial import RUNS, Trial, TrialData

PROBES = range(3)
ONE, OTHERS = np.array([1]), np.array([0, 2])  # runs


def check_runs(agent: Agent, columns: dict[str, Labels], documents: CorpusText) -> None:
    """InputError: the first fault of the agent on a corpus with these label columns."""
    data = TrialData.of(columns, documents)
    with global_seeds(1):
        priorities = _priorities_over_probes(agent, data, RUNS)
    with global_seeds(2):
        again = _priorities_over_probes(agent, data, RUNS)
    if not _same(priorities, again):
        raise InputError(
            f"agent '{agent.name}' gave other priorities in the same runs: it draws from a global or unseeded random "
            "generator, or keeps something on its class; keep all on the object, and let feedback alone decide"
        )
    if not agent.moves and not _same(priorities[1:], np.broadcast_to(priorities[0], priorities[1:].shape)):
        raise InputError(f"agent '{agent.name}' has moves = False, but feedback moved its priorities: set it to True")
    with global_seeds(1):
        alone = _priorities_over_probes(agent, data, ONE)
        if not _same(priorities[:, ONE], alone):
            raise InputError(
                f"agent '{agent.name}' gave a run other priorities when other runs were beside it: nothing may be "
                "shared, summed or drawn across axis 0 of the feedback"
            )
        _check_reset(agent, data)
        _check_state(agent, data)


def _priorities_over_probes(agent: Agent, data: TrialData, runs: NDArray[np.intp]) -> Array:
    """Priorities at the start and after each probe, (1 + probes, N, C + D): see `Trial.priorities`."""
    trial = Trial(agent, data, runs)
    found = [trial.priorities()]
    for probe in PROBES:
        trial.learn(probe)
        found.append(trial.priorities())
    return np.stack(found)


def _check_reset(agent: Agent, data: TrialData) -> None:
    """InputError: after `reset` the agent does not go on as a new one, or other runs forget too."""
    trial, new = _taught(agent, data, len(PROBES)), Trial(agent, data)
    before = trial.priorities()
    trial.agent.reset(OTHERS)
    after = trial.priorities()
    if not _same(after[ONE], before[ONE]):
        raise InputError(
            f"agent '{agent.name}': reset({OTHERS.tolist()}) changed run {ONE[0]}: only the slots named must forget"
        )
    forgot = _same(after[OTHERS], new.priorities()[OTHERS])
    for each in (trial, new):
        each.learn(0)
    if not forgot or not _same(trial.priorities()[OTHERS], new.priorities()[OTHERS]):
        raise InputError(
            f"agent '{agent.name}': after reset a run goes on otherwise than a new one: put all that update changes "
            "back to what start makes, in the slots that are named (counters too, which need one a run)"
        )


def _check_state(agent: Agent, data: TrialData) -> None:
    """InputError: the agent does not go on from a loaded state as from its own, or shares arrays with the state."""
    trial, other = _taught(agent, data, len(PROBES) - 1), Trial(agent, data)
    state = trial.agent.state_dict()
    name = f"agent '{agent.name}'"
    for key, array in state.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.shape[:1] != RUNS.shape:
            given = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise InputError(
                f"{name}: state_dict has '{key}' as {given}, expected an array of numbers of length {len(RUNS)}, one "
                "entry a run: keep counters and the like once a run"
            )
    kept = {key: array.copy() for key, array in state.items()}
    other.agent.load_state_dict(state)
    loaded = np.array_equal(trial.priorities(), other.priorities(), equal_nan=True)
    for each, method in ((trial, "state_dict"), (other, "load_state_dict")):
        each.learn(PROBES[-1])
        if not all(np.array_equal(state[key], array, equal_nan=True) for key, array in kept.items()):
            raise InputError(f"{name}: an update changed an earlier state: {method} must copy its arrays")
    if not loaded or not np.array_equal(trial.priorities(), other.priorities(), equal_nan=True):
        raise InputError(
            f"{name} goes on otherwise from a loaded state: state_dict must hold all that update changes, and "
            "load_state_dict put it back; what update does not change is for start to make"
        )


def _taught(agent: Agent, data: TrialData, probes: int) -> Trial:
    """A trial after that many probes."""
    trial = Trial(agent, data)
    for probe in PROBES[:probes]:
        trial.learn(probe)
    return trial


def _same(one: Array, other: Array) -> bool:
    """Whether both are equal up to rounding, which may differ with the number of runs."""
    return np.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)
