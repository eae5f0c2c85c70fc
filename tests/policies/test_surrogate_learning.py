"""Learning on the surrogate, where the best constant console is known."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from pretraingym.env.observation import Observation
from pretraingym.env.optimum import FRESH, best_static, final_losses
from pretraingym.env.scenario import Scenario
from pretraingym.env.surrogate import SurrogateSetting
from pretraingym.env.vector_env import ConsoleVectorEnv
from pretraingym.lm.corpus import Corpus
from pretraingym.policies.actor_config import SetActorConfig
from pretraingym.policies.ppo import make_ppo
from pretraingym.policies.sb3 import SB3ConsoleVecEnv
from pretraingym.policies.set_actor import SetActor

PROSE = Scenario((("prose", 1.0),), 20.0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The networks are tiny: more threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def learned_losses(corpus: Corpus, setting: SurrogateSetting, episodes: int) -> np.ndarray:
    """Final losses of what PPO learns from a policy that knows nothing, on seeds that it never met."""
    env = ConsoleVectorEnv(64, corpus=corpus.path, setting=setting, group_size=8)
    venv = SB3ConsoleVecEnv(env)
    venv.set_options({"scenario": PROSE})
    model = make_ppo(venv, SetActor(SetActorConfig(hidden=16), env.action_map), seed=0)
    model.learn(episodes * env.horizon)
    actor: Callable[..., torch.Tensor] = model.policy.actor  # type: ignore[assignment]

    def choose(seen: Observation) -> np.ndarray:
        with torch.no_grad():
            action = actor(*map(torch.from_numpy, (seen.agents, seen.mask, seen.training)))
        return env.action_map.weights(action.numpy(), seen.mask)

    return final_losses(env.core.task, setting, PROSE, choose, list(FRESH))


def test_ppo_gets_nine_tenths_of_the_way_to_the_best_constant(tiny_corpus: Corpus) -> None:
    setting = SurrogateSetting()
    _, best, natural = best_static(setting.task(tiny_corpus), setting, PROSE)
    assert natural - best > 0.4
    assert natural - learned_losses(tiny_corpus, setting, 2560).mean() >= 0.9 * (natural - best)


def test_a_policy_that_looks_is_told_from_one_that_does_not(tiny_corpus: Corpus) -> None:
    """Text that helps at first is worth least in the end. A policy that does not look at its observation is a constant,
    and no constant is better than the best one."""
    setting = SurrogateSetting(turn=1.0, agents=("null", "match-code", "match-prose", "quality"))
    _, best, natural = best_static(setting.task(tiny_corpus), setting, PROSE)
    losses = learned_losses(tiny_corpus, setting, 3840)
    assert best - losses.mean() > 5 * losses.std(ddof=1) / np.sqrt(len(losses))
    assert best - losses.mean() > 0.2 * (natural - best)
