"""What policies on one scenario came to, side by side, as JSON has it; and natural from another seed: chance alone."""

from dataclasses import replace
from typing import Any

import numpy as np

from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...policies.base import Policy
from ...policies.baselines.fixed import Natural
from ...policies.trials.side_by_side import run_side_by_side
from ..analysis.statistics import NATURAL, NATURAL_ANEW

ANEW = 2**32  # from a run's seed to that of natural anew: further than the repeats of a scenario


def outcomes(
    setting: Setting,
    task: Task,
    policies: dict[str, Policy],
    scenario: Scenario,
    seed: int,
    test_windows: int,
    anew: bool = False,
) -> dict[str, dict[str, Any]]:
    """Run natural and all of `policies` side by side; what each came to, as JSON has it: `validation_loss_nats` by the
    scenario's mixture, `test_loss_nats` by task, `tokens`, and its mean `weights`. A run that diverged has null.

    anew: also natural from another seed, of the same pool: other initial weights, draws and validation windows. Its
    validation loss is on another sample than theirs, so it tells no gain."""
    own, own_seeds = {NATURAL: Natural(), **policies}, dict[int, list[int]]()
    if anew:
        own_seeds[len(own)] = [(seed + ANEW) % 2**63]
        own[NATURAL_ANEW] = Natural()
        scenario = replace(scenario, pool_seed=seed if scenario.pool_seed is None else scenario.pool_seed)
    finished = run_side_by_side(setting, task, list(own.values()), scenario, [seed], own_seeds=own_seeds)
    last, weights_NK = finished.last, finished.weights_INK.mean(0)
    test_NT = finished.episode.measuring.test_losses(test_windows)
    return {
        name: {
            "validation_loss_nats": _number(last.loss_N[run]),
            "test_loss_nats": {of: _number(loss) for of, loss in zip(task.reference_tasks, test_NT[run], strict=True)},
            "tokens": int(last.tokens_N[run]),
            "weights": dict(zip(task.agent_names, weights_NK[run].round(3).tolist(), strict=True)),
        }
        for run, name in enumerate(own)
    }


def _number(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
