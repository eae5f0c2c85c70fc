"""How a target's steps are computed: passes, processes, memory, kernels. No result is meant to depend on it."""

from dataclasses import dataclass
from typing import Literal

from ..io.errors import InputError

Packing = Literal["documents", "plain", "none"]


@dataclass(frozen=True)
class EngineConfig:
    """How a target's steps are computed. Losses differ only by rounding, except with `packing` plain."""

    pass_sequences: int = 16
    """sequences of one forward and backward pass on a rank; a step takes as many passes as its batch needs"""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """of several ranks: ddp, each with the whole model, or fsdp (FSDP2), each with a share of every tensor"""
    packing: Packing = "documents"
    """of windows shorter than the context: documents, several to a sequence, which do not see each other; plain,
    several, which do; none, a sequence each"""
    compile: bool = False
    """torch.compile of the model's layers: minutes at the start, then faster steps on a GPU"""
    save_memory: bool = False
    """compute activations again in the backward pass instead of keeping them: a third more compute"""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """implementation of attention: torch's fused one, where the model has it, or plain products"""

    def __post_init__(self) -> None:
        if self.pass_sequences < 1:
            raise InputError(f"pass_sequences is {self.pass_sequences}, expected at least 1")
