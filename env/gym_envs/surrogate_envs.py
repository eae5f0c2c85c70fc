"""The environments of `PretrainGym/Surrogate-v1`: the same as the console's, on formulas in place of models."""

from ..settings.surrogate_setting import SurrogateSetting
from .single_env import ConsoleEnv
from .vector_env import ConsoleVectorEnv


def surrogate_env(**options: object) -> ConsoleEnv:
    """`ConsoleEnv` on the surrogate: its arguments, of which `setting` is a `SurrogateSetting`."""
    return ConsoleEnv(**{"setting": SurrogateSetting(), **options})  # type: ignore[arg-type]


def surrogate_vector_env(**options: object) -> ConsoleVectorEnv:
    """`ConsoleVectorEnv` on the surrogate: its arguments, of which `setting` is a `SurrogateSetting`."""
    return ConsoleVectorEnv(**{"setting": SurrogateSetting(), **options})  # type: ignore[arg-type]
