"""PyTorch datasets for any training loop, whose text a console mixes."""

from .batch_plan import BatchPlan
from .console_dataset import ConsoleDataset
from .posted_dataset import PostedDataset

__all__ = ["BatchPlan", "ConsoleDataset", "PostedDataset"]
