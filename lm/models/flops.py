"""What training costs in floating-point operations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class TrainingCost:
    """Cost of training a model of some config on sequences of `context` tokens.

    flops_per_token: in a training step, 6 a parameter that multiplies (all but the embeddings) and 6 x layers x width x
    context for causal attention (Kaplan et al. 2020; PaLM, appendix B, halved, since half of the scores are masked)."""

    params: int
    multiplying: int
    layers: int
    width: int
    context: int

    @classmethod
    def of(cls, config: "PretrainedConfig", context: int) -> "TrainingCost":
        from .causal_lm import num_parameters

        params, text = num_parameters(config), config.get_text_config(decoder=True)
        tables = 1 if config.tie_word_embeddings else 2
        # A tied table is also the head, and multiplies as such.
        embeddings = text.vocab_size * text.hidden_size * (tables - 1)
        return cls(params, params - embeddings, text.num_hidden_layers, text.hidden_size, context)

    @property
    def flops_per_token(self) -> float:
        return 6.0 * self.multiplying + 6.0 * self.layers * self.width * self.context
