"""The libraries that are tried: what pip installs for each, the scripts that use it, what does not fit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Library:
    """A library, and the scripts that use it in an environment of its own over the project's."""

    name: str
    requirements: tuple[str, ...]
    """for pip, the library itself in one exact version; none: the project's own environment serves"""
    clients: tuple[str, ...]
    """modules of `clients`"""
    with_dependencies: bool = True
    """False: pip's --no-deps, as the library pins versions that the project cannot have; `requirements` has all it
    needs"""
    note: str = ""
    """what its users must know: what does not fit, whose fault it is, and the smallest reproduction"""

    @property
    def folder(self) -> str:
        """Name of its environment: that of its package."""
        return self.requirements[0].split("=")[0].split("[")[0]


LIBRARIES = (
    Library(
        "RL Baselines3 Zoo",
        ("rl_zoo3==2.9.2",),
        ("rl_zoo3_ppo", "rl_zoo3_optuna"),
        note="Its tuning of PPO draws rollouts of up to 4,096 steps, which a short trial runs in full; so the "
        "script tunes SAC.",
    ),
    Library(
        "CleanRL's structure",
        (),
        ("cleanrl_ppo", "cleanrl_sac"),
        note="The scripts are the project's own; the version is torch's.",
    ),
    Library(
        "Tianshou",
        ("tianshou==2.0.1",),
        ("tianshou_ppo",),
        note="Its high-level interface needs what pip does not install with it: `pip install tianshou==2.0.1; "
        "python -c 'import tianshou.highlevel.experiment'` ends in ModuleNotFoundError: rliable. So the script uses "
        "the procedural one.",
    ),
    Library(
        "TorchRL",
        ("torchrl==0.14.1",),
        ("torchrl_gym_env", "torchrl_gym_wrapper"),
        note="GymWrapper takes vector environments with autoreset DISABLED (which it prefers) or SAME_STEP, and "
        "refuses Gymnasium's default: `GymWrapper(gymnasium.make_vec('CartPole-v1', 2, 'sync'))` ends in RuntimeError.",
    ),
    Library(
        "skrl",
        ("skrl==2.1.1",),
        ("skrl_ppo",),
        note="Its `wrap_env` looks at the direct bases of an environment's class alone: after "
        "`class A(CartPoleVectorEnv): pass` and `class B(A): pass`, `wrap_env(B(2))` ends in ValueError: Unknown "
        "wrapper type. The environments here are recognised; for a subclass of your own say `wrapper='gymnasium'`.",
    ),
    Library("RLlib", ("ray[rllib]==2.60.0",), ("rllib_ppo",)),
    Library(
        "PufferLib",
        ("pufferlib==2.0.2", "gym==0.26.2", "gym-notices==0.1.0", "rich-argparse==1.8.0", "pynvml==13.0.1"),
        ("pufferlib_ppo",),
        with_dependencies=False,
        note="2.0.2 is the last version with a wheel (for Python 3.11 on Linux). It pins numpy 1.23.3 and gymnasium "
        "0.29.1, which the project cannot have (`pip install 'numpy>=2' pufferlib==2.0.2` finds no solution); with "
        "its pins set aside it works.",
    ),
    Library("Minari", ("minari[hdf5,create]==0.5.4",), ("minari_cloning",)),
    Library(
        "d3rlpy",
        ("d3rlpy==2.8.1", "structlog==26.1.0", "gym==0.26.2", "gym-notices==0.1.0", "h5py==3.16.0",
         "dataclasses-json==0.6.7", "marshmallow==4.4.0", "typing-inspect==0.9.0"),
        ("d3rlpy_iql",),
        with_dependencies=False,
        note="It pins gymnasium 1.0.0, which has no AutoresetMode yet (`pip install 'gymnasium>=1.1' d3rlpy==2.8.1` "
        "finds no solution); with its pins set aside it works.",
    ),
    Library("EvoTorch", ("evotorch==0.6.1",), ("evotorch_pgpe",)),
    Library("Optuna", ("optuna==5.0.0",), ("optuna_tpe",)),
    Library("Nevergrad", ("nevergrad==1.0.12",), ("nevergrad_ngopt",)),
)  # fmt: skip
