"""PyTorch datasets that a console mixes, for any training loop."""

from .batch_plan import BatchPlan
from .console_dataset import ConsoleDataset
from .posted_dataset import PostedDataset

__all__ = ["BatchPlan", "ConsoleDataset", "PostedDataset"]
