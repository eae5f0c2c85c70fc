"""PPO and CMA-ES on the toy whose optimum is known: they leave the rule they start from far behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecMonitor

from pretraingym.env.console.action_map import ActionMap
from pretraingym.env.observation.features import AGENT_FEATURES, column
from pretraingym.env.observation.observation import Observation
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.actors.actor_config import SetActorConfig
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.baselines.rules import Agreement
from pretraingym.policies.learners.cma_es import CMAES, standardised
from pretraingym.policies.learners.learning import UpdateLog, learned_actor
from pretraingym.policies.learners.ppo import make_ppo
from pretraingym.policies.learners.table import learner_named
from pretraingym.policies.saved.card import PolicyCard
from pretraingym.policies.saved.learned import LearnedPolicy
from pretraingym.policies.saved.ranges import FeatureRanges
from pretraingym.policies.sb3.group_buffer import GroupRolloutBuffer
from pretraingym.policies.sb3.journal import Journal, JournalVecEnv
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

Make = Callable[..., Any]
EPISODE = 4  # steps
NUM_AGENTS = 5  # of the toy


@pytest.mark.parametrize("algorithm", ["cma-es", "response", "ppo", "sac", "tqc"])
def test_learning_beats_the_rule_it_starts_from(
    algorithm: str, toy: Make, toy_actor: SetActor, toy_gain: Callable[..., float], card: PolicyCard
) -> None:
    start = toy_gain(LearnedPolicy(toy_actor, card))
    assert abs(start - toy_gain(Agreement(0.1, 0.25))) < 0.1
    env = SB3ConsoleVecEnv(toy(16, 8))
    make = CMAES if algorithm == "cma-es" else learner_named(algorithm).make_algorithm  # its first step is longer
    model: Any = make(env, toy_actor, seed=0)
    assert toy_gain(LearnedPolicy(learned_actor(model), card)) == start
    off_policy = algorithm in ("sac", "tqc")
    model.learn((6 if off_policy else 20) * 16 * EPISODE)
    assert toy_gain(LearnedPolicy(learned_actor(model), card)) > start + (0.25 if off_policy else 0.6)
    assert toy_gain(LearnedPolicy(toy_actor, card)) == start  # learning changed a copy


@pytest.mark.parametrize("algorithm", ["cma-es", "response", "ppo", "sac"])
def test_same_seed_same_policy(algorithm: str, toy: Make, toy_actor: SetActor) -> None:
    def learned(seed: int) -> torch.Tensor:
        env = SB3ConsoleVecEnv(toy(8, 4))
        model = learner_named(algorithm).make_algorithm(env, toy_actor, seed=seed)
        model.learn(2 * 8 * EPISODE)
        return torch.nn.utils.parameters_to_vector(learned_actor(model).parameters())

    assert torch.equal(learned(1), learned(1))
    assert not torch.equal(learned(1), learned(2))


@pytest.mark.parametrize("algorithm", ["response", "ppo"])
def test_a_round_in_which_all_runs_fail_is_a_round(
    algorithm: str, toy: Make, toy_actor: SetActor, tmp_path: Path
) -> None:
    def learned(rounds: int) -> tuple[torch.Tensor, list[dict[str, float]]]:
        logged: list[dict[str, float]] = []
        env = JournalVecEnv(SB3ConsoleVecEnv(toy(8, 4, fails_at=tuple(range(8)))), tmp_path / "journal")
        model = learner_named(algorithm).make_algorithm(env, toy_actor, seed=0)
        model.learn(rounds * 8 * EPISODE, UpdateLog(EPISODE, logged.append, lambda _: None))
        return torch.nn.utils.parameters_to_vector(learned_actor(model).parameters()), logged

    learned(3)  # all fail in the second
    went_on, logged = learned(4)
    assert [row["episodes"] for row in logged] == [8, 16, 24, 32]
    assert [len(batch["dones"]) for batch in Journal(tmp_path / "journal").read()[1:]] == [EPISODE] * 4
    (tmp_path / "journal").unlink()
    assert torch.equal(learned(4)[0], went_on)


def test_hidden_actors_learn_with_both(toy: Make) -> None:
    actor = SetActor(SetActorConfig(hidden=4), ActionMap())
    actor.clone(Agreement(0.1, 0.25))
    for model in (make_ppo(SB3ConsoleVecEnv(toy(8, 4)), actor), CMAES(SB3ConsoleVecEnv(toy(8, 4)), actor)):
        model.learn(2 * 8 * EPISODE)
        assert all(torch.isfinite(parameter).all() for parameter in model.policy.parameters())


class Stop(BaseCallback):
    def _on_step(self) -> bool:
        return self.num_timesteps < 5 * 8


def test_evolution_is_an_sb3_algorithm(toy: Make, toy_actor: SetActor, tmp_path: Any) -> None:
    env = VecMonitor(SB3ConsoleVecEnv(toy(8, 4)))
    model = CMAES(env, toy_actor)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    ranges = FeatureRanges(toy_actor)
    model.learn(2 * 8 * EPISODE, callback=ranges)
    assert model.num_timesteps == 2 * 8 * EPISODE
    assert len(model.ep_info_buffer or ()) == 16
    assert set(ranges.ranges) == {"lift_mean", "agreement", "ridge", "progress", "scarcity"}
    assert ranges.ranges["progress"] == (0, 0.75)
    model.logger.close()
    header = (tmp_path / "progress.csv").read_text().splitlines()[0]
    assert "rollout/return_best" in header
    action, _ = model.predict(env.reset(), deterministic=True)  # type: ignore[arg-type]
    assert action.shape == (8, NUM_AGENTS)
    assert (abs(action) <= 1).all()


def test_ranges_begin_with_the_first_observation(toy: Make, toy_actor: SetActor) -> None:
    model, ranges = CMAES(SB3ConsoleVecEnv(toy(8, 4)), toy_actor), FeatureRanges(toy_actor)
    model._setup_learn(100, ranges)
    ranges.on_rollout_start()
    seen = Observation.of_batch(model._last_obs)  # type: ignore[arg-type]
    agreement = seen.agents[:, 1:, column(AGENT_FEATURES, "agreement")]
    assert ranges.ranges["agreement"] == (agreement.min(), agreement.max())


def test_a_callback_stops_evolution_without_half_a_generation(toy: Make, toy_actor: SetActor) -> None:
    model = CMAES(SB3ConsoleVecEnv(toy(8, 4)), toy_actor)
    model.learn(100 * 8 * EPISODE, callback=Stop())
    assert model._n_updates == 1
    assert model.num_timesteps == 5 * 8


def test_candidates_share_scenarios(toy: Make, toy_actor: SetActor) -> None:
    """Two equal candidates differ by nothing; the returns are those of the environment, averaged over groups."""
    model = CMAES(SB3ConsoleVecEnv(toy(8, 4)), toy_actor)
    _, callback = model._setup_learn(100, None)
    mean = torch.nn.utils.parameters_to_vector(toy_actor.parameters()).detach().numpy().astype(np.float64)
    returns = model.evaluate([mean, mean, mean + 1, mean], callback)
    assert returns is not None
    assert returns.shape == (2, 4)
    for of_group in returns:
        assert of_group[0] == of_group[1] == of_group[3] != of_group[2]


def test_every_scenario_counts_alike() -> None:
    returns = np.array([[0.1, 0.2, 0.3, 0.2], [30.0, 10.0, 20.0, 20.0], [0.5, 0.5, 0.5, 0.5]])
    scores = standardised(returns)
    np.testing.assert_allclose(scores.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(scores.std(1), [1, 1, 0], atol=1e-9)
    np.testing.assert_allclose(scores[0, 1:3] * [1, 1], [0, -scores[1, 1]], atol=1e-9)


def test_evolution_needs_a_population(toy: Make, toy_actor: SetActor) -> None:
    with pytest.raises(InputError, match="group_size is 1, expected at least 4"):
        CMAES(SB3ConsoleVecEnv(toy(8, 1)), toy_actor)


def test_group_advantage_is_return_to_go_minus_the_rest_of_the_group(toy: Make) -> None:
    env = SB3ConsoleVecEnv(toy(4, 2))
    buffer = GroupRolloutBuffer(3, env.observation_space, env.action_space, gamma=1, n_envs=4, group_size=2)
    rewards = np.arange(12, dtype=np.float32).reshape(3, 4) ** 2
    starts = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]])  # slot 1 ended early and began anew
    seen = {key: np.zeros((4, *space.shape)) for key, space in env.observation_space.items()}  # type: ignore[attr-defined]
    for step in range(3):
        buffer.add(seen, np.zeros((4, NUM_AGENTS)), rewards[step], starts[step], torch.zeros(4), torch.zeros(4))
    buffer.compute_returns_and_advantage(torch.zeros(4), np.ones(4, bool))
    to_go = rewards[::-1].cumsum(0)[::-1].copy()
    to_go[:2, 1] -= rewards[2, 1]
    np.testing.assert_allclose(buffer.returns, to_go)
    np.testing.assert_allclose(buffer.advantages[:, 0], to_go[:, 0] - to_go[:, 1])
    np.testing.assert_allclose(buffer.advantages[:, 3], to_go[:, 3] - to_go[:, 2])


def test_ppo_without_groups_uses_the_critic(toy: Make, toy_actor: SetActor) -> None:
    model = make_ppo(SB3ConsoleVecEnv(toy(4, 1)), toy_actor)
    model.learn(2 * 4 * EPISODE)
    assert not isinstance(model.rollout_buffer, GroupRolloutBuffer)


def test_set_policy_uses_one_deviation_and_ignores_the_order_of_agents(toy: Make, toy_actor: SetActor) -> None:
    model = make_ppo(SB3ConsoleVecEnv(toy(4, 2)), toy_actor)
    assert model.policy.log_std.shape == (1,)
    seen = toy(4, 2).reset(seed=1)[0]
    order = [0, 3, 1, 4, 2]
    moved = {**seen, "agents": seen["agents"].reshape(4, NUM_AGENTS, -1)[:, order].reshape(4, -1)}
    a, b = (torch.as_tensor(model.policy.predict(x, deterministic=True)[0]) for x in (seen, moved))
    torch.testing.assert_close(a[:, order], b, atol=1e-6, rtol=0)
    values = [model.policy.predict_values({k: torch.as_tensor(v) for k, v in x.items()}) for x in (seen, moved)]
    torch.testing.assert_close(values[0], values[1], atol=1e-6, rtol=0)
