"""SetActor: a small console policy that serves any set of agents, in any order.

Every agent's features go through the same weights, so an actor learned with one set of agents acts on any other.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...env.console.action_map import ActionMap
from ...env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, Feature, column
from ...lm.io.errors import InputError
from ..baselines.rules import Agreement, Lift, in_favour
from .actor import Actor, other_agents
from .actor_config import AGENT_BY_NAME, EVIDENCE, LEAST_EVIDENCE, POOLED_BY_NAME, TRAINING_BY_NAME, SetActorConfig

ABSENT = -1e9  # trust logit of null and of absent agents: finite, so that a run of null alone has no NaN


class Normaliser(nn.Module):
    """(x - mean) / scale by feature, in units of its typical values. The numbers travel with a saved actor."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: list[Feature]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([feature.typical[0] for feature in features]))
        self.register_buffer("scale", torch.tensor([feature.typical[1] for feature in features]))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale


class SetActor(Actor):
    """Weights: null 1 - sigmoid(u), the others sigmoid(u) * softmax(v).

    v, the trust in an agent, is linear in its features; u, the strength, is linear in features of the training
    and features pooled over the agents. With config.hidden, each has a residual network, which starts at zero and sees
    the agents' mean features as well. Softmax makes a common shift of v meaningless: trust has no bias.

    seed: of the residual networks' random weights; torch's global generator is left as it was."""

    architecture = "set-actor"
    config: SetActorConfig

    def __init__(self, config: SetActorConfig, action_map: ActionMap, seed: int = 0) -> None:
        super().__init__(action_map)
        self.config = config
        trust, strength, training = len(config.trust), len(config.strength), len(config.training)
        self.trust_scale = Normaliser([AGENT_BY_NAME[name] for name in config.trust])
        self.strength_scale = Normaliser([(TRAINING_BY_NAME | POOLED_BY_NAME)[name] for name in config.strength])
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.trust = _zero(nn.Linear(trust, 1, bias=False))
            self.strength = _zero(nn.Linear(strength, 1))
            if config.hidden:
                self.trust_residual = _residual(2 * trust + training, config.hidden)
                self.strength_residual = _residual(trust + strength, config.hidden)

    def observed(self) -> dict[str, Feature]:
        return self.config.observed()

    def log_weights(self, agents: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        trust = self._trust(agents, mask, statistics)
        strength = self._strength(agents, mask, statistics, trust)
        log_weights = functional.logsigmoid(strength) + trust
        return torch.cat([functional.logsigmoid(-strength), log_weights[:, 1:]], 1)

    def _trust(self, agents: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        """Log-shares of the agents other than null, (N, K)."""
        other = other_agents(mask)
        features = self.trust_features(agents, other)
        logit = self.trust(features)[..., 0]
        if self.config.hidden:
            columns = [column(TRAINING_FEATURES, name) for name in self.config.training]
            context = torch.cat([statistics[:, columns], _mean(features, other)], 1)
            around = context[:, None].expand(-1, features.shape[1], -1)
            logit = logit + self.trust_residual(torch.cat([features, around], 2))[..., 0]
        return logit.masked_fill(~other, ABSENT).log_softmax(1)

    def _strength(self, agents: Tensor, mask: Tensor, statistics: Tensor, trust: Tensor) -> Tensor:
        """Log-odds of the strength, (N, 1)."""
        inputs = self.strength_features(agents, mask, statistics, trust)
        strength: Tensor = self.strength(inputs)
        if self.config.hidden:
            mean = _mean(self.trust_features(agents, other_agents(mask)), other_agents(mask))
            strength = strength + self.strength_residual(torch.cat([inputs, mean], 1))
        return strength

    def trust_features(self, agents: Tensor, other: Tensor) -> Tensor:
        """What trust is linear in, (N, K, len(config.trust)); 0 for null and absent agents."""
        columns = [column(AGENT_FEATURES, name) for name in self.config.trust]
        scaled: Tensor = self.trust_scale(agents[..., columns])
        return scaled.masked_fill(~other[..., None], 0.0)

    def strength_features(self, agents: Tensor, mask: Tensor, statistics: Tensor, trust: Tensor) -> Tensor:
        """What the strength's log-odds are linear in, (N, len(config.strength)), where these are the log-shares."""
        other = other_agents(mask)
        values = []
        for name in self.config.strength:
            if name in TRAINING_BY_NAME:
                values.append(statistics[:, column(TRAINING_FEATURES, name)])
                continue
            pool, feature = ("trusted", "lift_sure") if name == EVIDENCE else name.split(".")
            value = agents[..., column(AGENT_FEATURES, feature)].masked_fill(~other, 0.0)
            if pool == "trusted":
                mean = (trust.exp().masked_fill(~other, 0.0) * value).sum(1)
                values.append(mean.clamp(LEAST_EVIDENCE, 1.0).log() if name == EVIDENCE else mean)
            else:
                highest = value.masked_fill(~other, -math.inf).amax(1)
                values.append(torch.where(other.any(1), highest, 0.0))
        scaled: Tensor = self.strength_scale(torch.stack(values, 1))
        return scaled

    @torch.no_grad()
    def clone(self, rule: Agreement | Lift) -> None:
        """Become that rule, up to the action map's floor and range. Of a rule that follows evidence only what is known
        before training is taken over: this is as strong as the rule where measured agreement is 0, and does not stop
        where the rule does."""
        wanted = {"agreement": 1 / rule.temperature}
        if isinstance(rule, Lift):
            wanted["lift_log"] = rule.power
        if missing := wanted.keys() - set(self.config.trust):
            raise InputError(f"a clone of '{rule.name}' needs '{min(missing)}' among its trust features: add it there")
        if not 0 < rule.strength < 1:
            raise InputError(f"a clone's strength is {rule.strength}, expected a number between 0 and 1, neither")
        if rule.evidence and EVIDENCE not in self.config.strength:
            raise InputError(f"a clone of '{rule.name}' needs '{EVIDENCE}' among its strength features: add it there")
        for module in [self.trust, self.strength, *self._residual_ends()]:
            _zero(module)
        for name, coefficient in wanted.items():
            index = self.config.trust.index(name)
            self.trust.weight[0, index] = self.trust_scale.scale[index] * coefficient
        self.strength.bias.fill_(math.log(rule.strength / (1 - rule.strength)))
        if rule.evidence:
            index = self.config.strength.index(EVIDENCE)
            self.strength.weight[0, index] = self.strength_scale.scale[index] * rule.evidence
            self.strength.bias.add_(self.strength_scale.mean[index] * rule.evidence + math.log(in_favour(0.0)))

    def _residual_ends(self) -> list[nn.Linear]:
        if not self.config.hidden:
            return []
        return [network[-1] for network in (self.trust_residual, self.strength_residual)]  # type: ignore[misc]


def _zero(linear: nn.Linear) -> nn.Linear:
    for parameter in linear.parameters():
        nn.init.zeros_(parameter)
    return linear


def _residual(inputs: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), _zero(nn.Linear(hidden, 1)))


def _mean(features: Tensor, other: Tensor) -> Tensor:
    return features.sum(1) / other.sum(1, keepdim=True).clamp(min=1)
