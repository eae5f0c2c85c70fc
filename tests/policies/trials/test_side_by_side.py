"""Policies side by side: where a rule knows nothing its run is natural's, whatever slot it has."""

from dataclasses import dataclass, replace

import numpy as np

from pretraingym.env.observation.observation import Observation
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.policies.base import Weights
from pretraingym.policies.baselines.fixed import Natural
from pretraingym.policies.baselines.rules import AGREEMENT_T, ENOUGH, LIFT_SURE, Lift
from pretraingym.policies.trials.side_by_side import run_side_by_side


@dataclass
class Unsure(Lift):
    """Lift that is told of so much sure lift, of every agent."""

    sure: float = ENOUGH - 0.001

    def act(self, observation: Observation) -> Weights:
        agents = observation.agents.copy()
        agents[..., LIFT_SURE], agents[..., AGREEMENT_T] = self.sure, 1.0
        return super().act(replace(observation, agents=agents))


def test_a_rule_that_knows_nothing_is_natural_to_the_bit(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    policies = [Natural(), Unsure(), Unsure(sure=0.5)]
    scenario = Scenario((("prose", 1.0),), 5.0)
    finished = run_side_by_side(tiny_setting, Task(tiny_corpus, 16), policies, scenario, [0, 1])
    natural, unsure, sure = finished.last.loss_N.reshape(3, 2)
    np.testing.assert_array_equal(unsure, natural)
    assert (sure != natural).all()
    np.testing.assert_array_equal(finished.weights_INK[:, 2:4, 0], 1.0)
