"""The settings of an episode: the model and its training, the agents, and the clock."""

from .setting import Setting
from .surrogate_setting import SurrogateSetting

__all__ = ["Setting", "SurrogateSetting"]
