"""How a target is trained, beyond what: passes, processes, memory, kernels. No result is meant to depend on it."""

from dataclasses import dataclass
from typing import Literal

from ..io.errors import InputError

Packing = Literal["documents", "plain", "none"]


@dataclass(frozen=True)
class EngineConfig:
    """How a target's steps are carried out. Losses differ by rounding alone, but for `packing` plain."""

    pass_rows: int = 16
    """sequences of one forward and backward pass on a rank; a step takes as many passes as its batch needs"""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """of several ranks: ddp, each with the whole model, or fsdp (FSDP2), each with a share of every tensor"""
    packing: Packing = "documents"
    """of windows shorter than the context: documents, several to a sequence that do not see each other; plain, several
    that do; none, a sequence each"""
    compile: bool = False
    """torch.compile of the model's layers: minutes at the start, then faster steps on a GPU"""
    save_memory: bool = False
    """keep no activations of a layer, but compute them again in the backward pass: a third more compute"""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """implementation of attention: torch's fused one, or plain products, which some models (Gemma 2) need"""
    liger: bool = False
    """Liger kernels for norms, rotary embeddings and feed-forwards (extra: liger; a GPU)"""

    def __post_init__(self) -> None:
        if self.pass_rows < 1:
            raise InputError(f"pass_rows is {self.pass_rows}, expected at least 1")
