"""What training costs: floating-point operations and memory."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .engine_config import EngineConfig

if TYPE_CHECKING:
    from transformers import PretrainedConfig

FLOAT = 4  # bytes: weights, gradients, averages and moments are float32
ACTIVATIONS = 34  # bytes a layer, token and hidden unit in bfloat16 (Korthikanti et al. 2022, eq. 2, less attention)


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

    def memory_bytes(self, engine: EngineConfig, ranks: int) -> float:
        """Most memory that a rank needs, which is while influence is measured; estimated.

        Weights, running average and moments stay (Muon has one, AdamW two: three are counted); a measurement adds two
        gradients, a copy of the weights, and activations in float32, twice those of a training pass."""
        share = ranks if engine.parallel == "fsdp" else 1
        kept = 5 * FLOAT * self.params / share
        tokens = engine.pass_sequences * self.context
        layers = 2 + ACTIVATIONS / self.layers if engine.save_memory else ACTIVATIONS
        activations = layers * self.layers * tokens * self.width
        return kept + 3 * FLOAT * self.params / share + 2 * activations
