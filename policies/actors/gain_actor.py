"""A console that expects a gain from every weight vector, by a regression, and takes the best one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...env.console.action_map import ActionMap
from ...env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, Feature, column
from .actor import Actor, other_agents
from .actor_config import AGENT_BY_NAME, TRAINING_BY_NAME, check_feature_names
from .set_actor import Normaliser

STRENGTHS = torch.logspace(-1.7, -0.2, 16)  # that are tried: .02 to .63
SHARPNESS = torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])  # over the spread of the agents' values


@dataclass(frozen=True)
class GainConfig:
    """agents: features of an agent that its value depends on; relative: those of them that count once more as the
    distance below the highest of all agents; training: features that change what each of these counts."""

    agents: tuple[str, ...] = (
        "moves", "lift_mean", "lift_log", "lift_min", "agreement", "agreement_allowed", "agreement_task_min", "ridge",
        "epochs_projected",
    )  # fmt: skip
    relative: tuple[str, ...] = ("lift_log", "agreement")
    training: tuple[str, ...] = ("scarcity",)

    def __post_init__(self) -> None:
        check_feature_names("agent", self.agents, AGENT_BY_NAME)
        check_feature_names("relative", self.relative, dict.fromkeys(self.agents, AGENT_FEATURES[0]))
        check_feature_names("training", self.training, TRAINING_BY_NAME)

    @property
    def num_terms(self) -> int:
        """Number of terms of an agent's value: 1 and its features, each times the training's features and 1."""
        return (1 + len(self.agents) + len(self.relative)) * (len(self.training) + 1)


class GainActor(Actor):
    """Chooses the weights of which it expects the largest gain.

    With strength s = 1 - weight of null and shares v of the others, it expects of them, over natural,

        s * sum(v * a) + s^2 * sum(v * b) + s * c * sum(v^2)

    where an agent's value a, and its cost b of strength, are linear in its terms. So the gain is linear in the
    2 num_terms + 1 coefficients, and 0 for natural. The weights are the best of a grid: for each strength, shares that
    are a softmax of a + s b at some sharpness. The number of agents and their order do not matter."""

    architecture = "gain"
    decides_once = True
    config: GainConfig

    def __init__(self, config: GainConfig, action_map: ActionMap) -> None:
        super().__init__(action_map)
        self.config = config
        self.agent_scale = Normaliser([AGENT_BY_NAME[name] for name in config.agents])
        self.training_scale = Normaliser([TRAINING_BY_NAME[name] for name in config.training])
        self.coefficients = nn.Parameter(torch.zeros(2 * config.num_terms + 1))

    def observed(self) -> dict[str, Feature]:
        known = AGENT_BY_NAME | TRAINING_BY_NAME
        return {name: known[name] for name in (*self.config.agents, *self.config.training)}

    def terms(self, agents: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        """Terms of every agent's value, (N, K, num_terms); 0 for null and absent agents."""
        own = self.agent_scale(agents[..., [column(AGENT_FEATURES, name) for name in self.config.agents]])
        around = self.training_scale(statistics[:, [column(TRAINING_FEATURES, name) for name in self.config.training]])
        compared = own[..., [self.config.agents.index(name) for name in self.config.relative]]
        highest = compared.masked_fill(~other_agents(mask)[..., None], -torch.inf).amax(1, keepdim=True)
        below = torch.where(highest.isfinite(), compared - highest, 0.0)
        own = torch.cat([torch.ones_like(own[..., :1]), own, below], 2)
        around = torch.cat([torch.ones_like(around[:, :1]), around], 1)[:, None].expand(-1, own.shape[1], -1)
        products = (own[..., :, None] * around[..., None, :]).flatten(2)
        return products.masked_fill(~other_agents(mask)[..., None], 0.0)

    def design(self, weights: Tensor, agents: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        """What the coefficients multiply, for weights (N, K) -> (N, 2 num_terms + 1)."""
        others = weights.masked_fill(~other_agents(mask), 0.0)
        strength = others.sum(1, keepdim=True)
        linear = torch.einsum("bk,bkp->bp", others, self.terms(agents, mask, statistics))
        concentration = others.square().sum(1, keepdim=True) / strength.clamp(min=1e-9)
        return torch.cat([linear, strength * linear, concentration], 1)

    def log_weights(self, agents: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        other, size = other_agents(mask), self.config.num_terms
        terms = self.terms(agents, mask, statistics)
        value, cost = terms @ self.coefficients[:size], terms @ self.coefficients[size:-1]
        net = value[:, None] + STRENGTHS[:, None] * cost[:, None]  # (N, strengths, K)
        count = other.sum(1).clamp(min=1)[:, None, None]
        centred = (net - net.sum(2, keepdim=True) / count).masked_fill(~other[:, None], 0.0)
        spread = (centred.square().sum(2, keepdim=True) / count).sqrt().clamp(min=1e-6)
        logits = (centred / spread)[..., None, :] * SHARPNESS[:, None]  # (N, strengths, sharpnesses, K)
        shares = logits.masked_fill(~other[:, None, None], -torch.inf).softmax(-1).nan_to_num()
        by_agent = (shares * net[:, :, None]).sum(-1)
        gain = STRENGTHS[:, None] * (by_agent + self.coefficients[-1] * shares.square().sum(-1))
        best = gain.flatten(1).argmax(1)
        tried = shares.flatten(1, 2)
        place = best[:, None, None].expand(-1, 1, tried.shape[2])
        chosen = tried.gather(1, place)[:, 0]  # indexing by `best` would fix sizes in ONNX
        strength = STRENGTHS[best // len(SHARPNESS)]
        strength = torch.where(gain.flatten(1).amax(1) > 0, strength, STRENGTHS[0] / 4)[:, None]
        weights = strength * chosen
        weights[:, 0] = 1 - strength[:, 0]
        return weights.clamp(min=1e-9).log()
