"""The environments of `PretrainGym/Surrogate-v1`: the same as the console's, on formulas in place of models."""

from ..settings.surrogate_setting import SurrogateSetting
from .single_env import ConsoleEnv
from .vector_env import ConsoleVectorEnv


class SurrogateEnv(ConsoleEnv):
    """`ConsoleEnv` on the surrogate: its arguments, of which `setting` is a `SurrogateSetting`."""

    default_setting = SurrogateSetting


class SurrogateVectorEnv(ConsoleVectorEnv):
    """`ConsoleVectorEnv` on the surrogate: its arguments, of which `setting` is a `SurrogateSetting`."""

    default_setting = SurrogateSetting
