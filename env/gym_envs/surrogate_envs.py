"""The environments of `PretrainGym/Surrogate-v2`: the same as the console's, on formulas in place of models."""

from gymnasium.vector import VectorEnv

from ..settings.toy_setting import TOY_SCENARIOS, ToySetting
from .single_env import ConsoleEnv
from .vector_env import ConsoleVectorEnv


class SurrogateEnv(ConsoleEnv):
    """`ConsoleEnv` on the surrogate: its arguments, of which `setting` is a `ToySetting` or a `SurrogateSetting`.

    The default is a toy on which learning shows (`ToySetting` and `TOY_SCENARIOS`, env/settings/toy_setting.py). For
    what proxies are like give `setting=SurrogateSetting()`, or one with `fitted`, and
    `distribution=ScenarioDistribution()`."""

    default_setting = ToySetting
    default_distribution = TOY_SCENARIOS


class SurrogateVectorEnv(ConsoleVectorEnv, VectorEnv):  # VectorEnv by name: skrl looks at direct bases alone
    """`ConsoleVectorEnv` on the surrogate: its arguments, the defaults as in `SurrogateEnv`."""

    default_setting = ToySetting
    default_distribution = TOY_SCENARIOS
