"""The peak learning rates and moments of Muon and AdamW, as flags give them."""

from dataclasses import dataclass

from ..io.errors import InputError


@dataclass(frozen=True)
class OptimizerConfig:
    """Peak learning rates and moments. Measured on the quickstart's proxy (165k tokens, linear decay): .03 and .02 end
    at 3.767 nats, .02 and .02 at 3.787, .015 and .015 at 3.801, .03 and .03 at 3.798 (four seeds each)."""

    muon_lr: float = 0.03
    """peak learning rate of Muon, for hidden matrices"""
    adam_lr: float = 0.02
    """peak learning rate of AdamW, for all else"""
    momentum: float = 0.95
    """of Muon"""
    adam_betas: tuple[float, float] = (0.9, 0.95)
    """decay of AdamW's first and second moment"""
    epsilon: float = 1e-8
    """of AdamW"""
    clip_norm: float | None = None
    """largest norm of a model's gradient, over all its parameters; a larger one is scaled down (None: no clipping)"""

    def __post_init__(self) -> None:
        for name in ("muon_lr", "adam_lr", "epsilon"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}, expected a positive number")
        if not all(0 <= decay < 1 for decay in (self.momentum, *self.adam_betas)):
            raise InputError(f"momentum is {self.momentum} and adam_betas {self.adam_betas}, expected 0 to below 1")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise InputError(f"clip_norm is {self.clip_norm}, expected a positive number or None")
