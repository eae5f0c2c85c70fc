"""Recipes: the size of the model, its budget and the interval, drawn once a vector environment."""

from dataclasses import replace

import numpy as np

from .setting import Setting

RECIPE = 2**32 + 1  # keeps this random stream apart from a scenario's of the same seed
WIDTHS, STEPS, INTERVALS = (2 / 3, 1.0, 4 / 3), (0.5, 1.0, 2.0), (4, 6, 9)


def sample_recipe(setting: Setting, seed: int) -> Setting:
    """`setting` with another model and clock: of the design's axis `recipe`, what all runs of one program must share.

    Widths of two to four thirds, to whole 16ths or, above 64, 64ths; the layers or one more; half to twice the steps an
    interval; 4 to 9 intervals (ranges assumed). Warm-up and batches stay, so tokens per parameter go from a sixth to
    six times. A model that a config names stays too. Give the result to an environment as its `setting`."""
    rng = np.random.default_rng([seed, RECIPE])
    width, layers = setting.width * rng.choice(WIDTHS), setting.num_layers + int(rng.integers(2))
    unit = 64 if width > 64 else 16
    steps = max(1, round(setting.episode.steps_per_interval * rng.choice(STEPS)))
    clock = replace(setting.episode, steps_per_interval=steps, num_intervals=int(rng.choice(INTERVALS)))
    return replace(setting, width=max(unit, int(width / unit + 0.5) * unit), num_layers=layers, episode=clock)
