"""What runs cost, by hand."""

from dataclasses import replace

import pytest

from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.analysis.charges import all_in_ratio, run_charges


def test_what_a_run_costs() -> None:
    setting = Setting()
    charges = run_charges(setting, 1000, 2)
    clock, forwards = setting.episode, 2 * 1000 * setting.context  # of one window
    windows = (clock.warmup_steps + clock.num_intervals * clock.steps_per_interval) * clock.batch_windows
    by_task = (2 + 1) * clock.probe_windows / 4  # two tasks; every fourth window
    assert charges.train == 3 * forwards * windows
    assert charges.evaluate == forwards * (clock.num_intervals * clock.validation_windows + clock.final_windows)
    assert charges.probe == forwards * clock.num_intervals * (
        3 * clock.reference_windows + 2 * clock.probe_windows + by_task
    )
    assert charges.total == charges.train + charges.evaluate + charges.probe
    longer = replace(clock, steps_per_interval=2 * clock.steps_per_interval, warmup_steps=2 * clock.warmup_steps)
    target = run_charges(replace(setting, episode=longer), 2 * 1000, 2)
    assert target.train == 4 * charges.train
    assert target.overhead() == pytest.approx(charges.overhead(4))


def test_the_all_in_ratio_tends_to_the_speedup() -> None:
    assert all_in_ratio(3.0, 0.0, 0.0, 1, 1) == 3.0
    assert all_in_ratio(3.0, 0.5, 0.0, 1, 1) == 2.0
    assert all_in_ratio(3.0, 0.0, 100.0, 1, 50) == pytest.approx(1.0)  # learned for two targets' worth: break-even
    assert all_in_ratio(3.0, 0.0, 100.0, 10**6, 50) == pytest.approx(3.0, rel=1e-4)
