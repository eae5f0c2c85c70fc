"""The settings of an episode: which model, corpus, agents and clock."""

from .setting import Setting
from .surrogate_setting import SurrogateSetting

__all__ = ["Setting", "SurrogateSetting"]
