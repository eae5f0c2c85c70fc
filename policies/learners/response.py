r"""Response surface (Box and Wilson 1951): regress returns on changes of a rule's weights, then move the rule.

Adapted: the rule is a linear set actor; a change is one of its strength or its shares, and what it gains depends
linearly on what the actor reads; the mean of a return's group is taken off. `ResponseSurface` has the formula.

Settings: prior slopes and curvatures from 960 recorded episodes; half a step from 48 training scenarios
(experiments/results/2026-11-28-response/steps.json); groups of 4, because scenarios differ by more than runs do; noise
and radius assumed.

Evidence: 24 development scenarios, gain over natural .197 nats with 480 episodes (seeds 1 and 2), .206 with 1,440
(seed 1); the lift rule .195 (experiments/results/2026-11-28-response/). 192 sealed scenarios: .183, .185, lift .175
(2026-11-28-wide/). The policy of 1,440 episodes ships as ten-tasks: its command has 1440 in place of 480.

    pretraingym train-console --learn.algorithm response --learn.start lift:strength=0.2,evidence=0 \
        --corpus runs/tasks --learn.groups 8 --learn.group-size 4 \
        --learn.distribution.vary reference pool text agents rate \
        --learn.distribution.references lambada squad code docs web wikipedia stackexchange \
        --learn.episodes 480 --learn.seed 1

`experiments/results/corpora/ten-tasks.sh` builds `runs/tasks`.
"""

import copy

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from ...env.observation.features import TRAINING_FEATURES, column
from ..actors.actor import ObservationTensors, as_actions, other_agents
from ..actors.set_actor import SetActor
from .search import Array, EpisodeSearch

PROGRESS = column(TRAINING_FEATURES, "progress")
# Deviations of what is tried from the present actor, in nats of log-odds and of log-share (assumed).
STRENGTH_NOISE, TURN_NOISE, SHARE_NOISE = 0.4, 0.3, 0.5
# The prior: slopes 0 +- .03 nats a unit, curvatures .02 +- .01 nats a unit squared. 960 episodes of CMA-ES on ten
# reference tasks gave .02 to .05, and .027 +- .004 for the strength's.
SLOPE_SD, CURVATURE, CURVATURE_SD, LEAST_CURVATURE = 0.03, 0.02, 0.01, 0.01
# Share of the change to the best that is made: slopes are better known than curvatures, and half the change has three
# quarters of the gain. On 48 training scenarios half the change gained .013 over lift, the whole one .012, half of the
# strength's alone .017.
STEP = 0.5
RADIUS = 1.0  # nats: largest norm of all changes by features of one deviation; the surface is not known beyond
LEAST_SPREAD = 0.015  # nats, of a group's returns: half of what chance alone makes
FARTHEST = 3.0  # a change of log-share, and a standardised return, count no further


class ResponseSurface(EpisodeSearch):
    """A regression of what is tried around the rule that learning began at.

    With du the change of the strength's log-odds and dv that of the log-shares from that rule, whose shares are p,
    a return is regressed on

        mean over the steps of  du (c x) - k_u du^2 + sum_a p_a dv_a (d x_a) - k_v sum_a p_a dv_a^2

    less its mean over the group; x and x_a are what the actor's linear layers read, as the group's mean saw it: what a
    run itself saw depends on its noise. Every group's returns are divided by their spread, or the few scenarios in
    which much is won or lost would outweigh the others. The best changes, c x / 2 k_u and d x_a / 2 k_v, are linear, so
    the actor can make them; it makes `STEP` of them. Slots try the present actor with noise that lasts an episode, in
    mirrored pairs; all episodes count in every fit, a ridge regression around the prior."""

    def set_up_search(self, rng: np.random.Generator) -> None:
        assert isinstance(self.policy.actor, SetActor)
        self.rng, self.rule = rng, copy.deepcopy(self.policy.actor)
        self._terms: list[Array] = []  # (group_size, terms) a group
        self._returns: list[Array] = []  # (group_size,) a group
        self.explained = 0.0

    def try_round(self, callback: BaseCallback) -> Array | None:
        num_agents = self.seen().mask.shape[1]
        strength_N, turn_N, share_NK = self._noise(1)[:, 0], self._noise(1)[:, 0], self._noise(num_agents)
        steps: list[Array] = []

        def act(seen: ObservationTensors) -> Tensor:
            turn = 2 * seen.statistics[:, PROGRESS] - 1
            change = STRENGTH_NOISE * strength_N + TURN_NOISE * turn_N * turn
            actor = self.policy.actor
            with torch.no_grad():
                tried = _changed(actor.log_weights(*seen), change, SHARE_NOISE * share_NK, seen.mask)
                actions = as_actions(tried, seen.mask, actor.action_map)
            steps.append(self._step_terms(seen, torch.from_numpy(actor.weights_of(actions, seen.mask)).float()))
            return actions

        returns_N = self.play(act, callback)
        if returns_N is None:
            return None
        terms = np.mean(steps, 0)
        self._terms.extend(terms.reshape(-1, self.group_size, terms.shape[1]))
        self._returns.extend(returns_N.reshape(-1, self.group_size))
        self._move(self.fit())
        return returns_N

    def _noise(self, width: int) -> Tensor:
        """Standard normal, (N, width): the second half of every group mirrors the first."""
        groups = self.n_envs // self.group_size
        half = self.rng.standard_normal((groups, -(-self.group_size // 2), width))
        both = np.concatenate([half, -half], 1)[:, : self.group_size]
        return torch.from_numpy(both.reshape(-1, width)).float()

    def _step_terms(self, seen: ObservationTensors, weights: Tensor) -> Array:
        """What the coefficients of one step multiply, (N, terms): c, d, k_u, k_v."""
        mean = ObservationTensors(self._group_mean(seen.agents), seen.mask, self._group_mean(seen.statistics))
        other = other_agents(seen.mask)
        with torch.no_grad():
            strength_N, trust_NK = _split(self.rule.log_weights(*mean), other)
            x = self.rule.strength_features(*mean, trust_NK)
            features = self.rule.trust_features(mean.agents, other)
            own_N, own_NK = _split(weights.clamp(min=1e-9).log(), other)
        share = trust_NK.exp().masked_fill(~other, 0.0)
        du = (own_N - strength_N)[:, None]
        dv = (own_NK - trust_NK).clamp(-2 * FARTHEST, 2 * FARTHEST).masked_fill(~other, 0.0)
        dv = (dv - (share * dv).sum(1, keepdim=True)).clamp(-FARTHEST, FARTHEST).masked_fill(~other, 0.0)
        linear = [du * x, du, ((share * dv)[..., None] * features).sum(1)]
        terms = torch.cat([*linear, -du.square(), -(share * dv.square()).sum(1, keepdim=True)], 1)
        return np.asarray(terms.numpy(), np.float64)

    def _group_mean(self, values: Tensor) -> Tensor:
        grouped = values.reshape(-1, self.group_size, *values.shape[1:])
        return grouped.mean(1, keepdim=True).expand_as(grouped).reshape(values.shape)

    def fit(self) -> Array:
        """The coefficients of the terms, nats a unit."""
        terms, returns = np.stack(self._terms), np.stack(self._returns)  # (groups, group_size, terms) and without terms
        centred = returns - returns.mean(1, keepdims=True)
        spread = np.maximum(centred.std(1), LEAST_SPREAD)[:, None]
        y = np.clip(centred / spread, -FARTHEST, FARTHEST).reshape(-1)
        x = ((terms - terms.mean(1, keepdims=True)) / spread[..., None]).reshape(len(y), -1)
        prior = np.append(np.zeros(x.shape[1] - 2), [CURVATURE, CURVATURE])
        sd = np.append(np.full(x.shape[1] - 2, SLOPE_SD), [CURVATURE_SD, CURVATURE_SD])
        found = np.linalg.solve(x.T @ x + np.diag(sd**-2), x.T @ y + prior * sd**-2)
        self.explained = float(1 - (y - x @ found).var() / max(float(y.var()), 1e-12))
        return np.asarray(found)

    def _move(self, found: Array) -> None:
        """Move the actor towards where the coefficients expect most."""
        actor = self.policy.actor
        assert isinstance(actor, SetActor)
        inputs = len(actor.config.strength)
        curvature = np.maximum(found[-2:], LEAST_CURVATURE)
        strength, trust = (
            torch.from_numpy(STEP * step / max(1.0, float(np.linalg.norm(step)) / RADIUS)).float()
            for step in (found[: inputs + 1] / (2 * curvature[0]), found[inputs + 1 : -2] / (2 * curvature[1]))
        )
        with torch.no_grad():
            actor.strength.weight.copy_(self.rule.strength.weight + strength[:-1])
            actor.strength.bias.copy_(self.rule.strength.bias + strength[-1:])
            actor.trust.weight.copy_(self.rule.trust.weight + trust)

    def values_to_log(self) -> dict[str, float]:
        return {"train/explained": self.explained}


def _split(log_weights: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Log-odds of the strength, (N,), and log-shares of the agents but null, (N, K)."""
    logits = log_weights.masked_fill(~other, -1e9)
    whole = logits.logsumexp(1)
    return whole - log_weights[:, 0], logits - whole[:, None]


def _changed(log_weights: Tensor, strength: Tensor, share: Tensor, mask: Tensor) -> Tensor:
    """The log-weights with that much more log-odds of strength, (N,), and other log-shares, (N, K)."""
    other = other_agents(mask)
    odds, shares = _split(log_weights, other)
    changed = (shares + share).masked_fill(~other, -1e9).log_softmax(1) + (odds + strength)[:, None]
    return torch.cat([torch.zeros_like(changed[:, :1]), changed[:, 1:]], 1)
