"""PretrainGym: which data should a language model be pretrained on next?

A Gymnasium environment, policies and a language-model engine. Importing this package registers the environments:

    import gymnasium as gym
    import pretraingym

    env = gym.make("PretrainGym/Surrogate-v2")  # the loop on formulas in place of models: no corpus, no training
    env = gym.make("PretrainGym/Console-v2")  # one pretraining run of a small proxy model

pretraingym.env: the environments, and what a run of your own draws its data from.
pretraingym.policies: who sets the console's weights: rules, learned policies and their learners.
pretraingym.lm: corpora, proxy models and target models.
pretraingym.experiments: the commands; `pretraingym --help` lists them.

The class `pretraingym.env.gym_envs.single_env.ConsoleEnv` has the environment's card. README has the first steps.
"""

from importlib.metadata import version

from . import env

__all__ = ["env"]
__version__ = version("pretraingym")
