"""Learning on the surrogate, where the best constant console is known."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.experiments.evaluation.optimum import FRESH, best_static, final_losses
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.policies.actors.actor import Actor
from pretraingym.policies.actors.actor_config import SetActorConfig
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.learners.learning import learned_actor
from pretraingym.policies.learners.table import learner_named
from pretraingym.policies.saved.card import PolicyCard
from pretraingym.policies.saved.learned import LearnedPolicy
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

PROSE = Scenario((("prose", 1.0),), 20.0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The networks are tiny: more threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def learned_losses(
    corpus: Corpus, setting: SurrogateSetting, episodes: int, algorithm: str = "ppo", start: Actor | None = None
) -> np.ndarray:
    """Final losses of what is learned from `start` (default: an actor that knows nothing), on seeds never met."""
    env = ConsoleVectorEnv(64, corpus=corpus.path, setting=setting, group_size=8, autoreset_mode="SameStep")
    venv = SB3ConsoleVecEnv(env)
    venv.set_options({"scenario": PROSE})
    actor = start or SetActor(SetActorConfig(hidden=16), env.action_map)
    model = learner_named(algorithm).make_algorithm(venv, actor, seed=0)
    model.learn(episodes * env.horizon)
    card = PolicyCard("ppo", env.agent_names, "a surrogate", "none", "pytest", {}, {})
    policy = LearnedPolicy(learned_actor(model), card)
    policy.reset(env.agent_names, len(FRESH))
    return final_losses(env.runs.task, setting, PROSE, policy.act, list(FRESH))


def test_ppo_gets_nine_tenths_of_the_way_to_the_best_constant(tiny_corpus: Corpus) -> None:
    setting = SurrogateSetting()
    _, best, natural = best_static(setting.task(tiny_corpus), setting, PROSE)
    assert natural - best > 0.4
    assert natural - learned_losses(tiny_corpus, setting, 2560).mean() >= 0.9 * (natural - best)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("algorithm", "share"),
    [
        ("cma-es", 0.9),
        ("response", 0.85),
        ("best-static", 0.9),
        ("regmix", 0.75),
        ("d-optimal", 0.75),
        ("schedule", 0.9),
        ("regression", 0.75),
        ("sac", 0.8),
        ("tqc", 0.8),
    ],
)
def test_every_learner_goes_there(tiny_corpus: Corpus, algorithm: str, share: float) -> None:
    """From where `train-console` has it start. What regresses falls short: on what agents are worth it is linear, and
    regmix averages the best of what was tried; response goes no further from its start than half of its radius."""
    setting = SurrogateSetting()
    _, best, natural = best_static(setting.task(tiny_corpus), setting, PROSE)
    agents = setting.task(tiny_corpus).agent_names
    start = learner_named(algorithm).start_actor(setting.episode.action_map, agents, 0)
    losses = learned_losses(tiny_corpus, setting, 2560, algorithm, start)
    assert natural - losses.mean() >= share * (natural - best)


def test_a_policy_that_looks_is_told_from_one_that_does_not(tiny_corpus: Corpus) -> None:
    """Text that helps at first is worth least in the end. A policy that does not look at its observation is a constant,
    and no constant is better than the best one."""
    setting = SurrogateSetting(turn=1.0, agents=("null", "match-code", "match-prose", "quality"))
    _, best, natural = best_static(setting.task(tiny_corpus), setting, PROSE)
    losses = learned_losses(tiny_corpus, setting, 3840)
    assert best - losses.mean() > 5 * losses.std(ddof=1) / np.sqrt(len(losses))
    assert best - losses.mean() > 0.2 * (natural - best)
