"""Recipes: varied, seeded, and fit to train."""

import numpy as np

from pretraingym.env.recipe import sample_recipe
from pretraingym.env.setting import Setting
from pretraingym.env.vector_env import ConsoleVectorEnv
from pretraingym.lm.corpus import Corpus


def test_recipes_vary_in_size_budget_and_interval() -> None:
    drawn = [sample_recipe(Setting(), seed) for seed in range(60)]
    assert drawn == [sample_recipe(Setting(), seed) for seed in range(60)]
    assert {each.width for each in drawn} == {32, 48, 64}
    assert {each.num_layers for each in drawn} == {1, 2}
    assert {each.episode.steps_per_interval for each in drawn} == {26, 52, 104}
    assert {each.episode.num_intervals for each in drawn} == {4, 6, 9}
    large = {sample_recipe(Setting(width=192), seed).width for seed in range(30)}
    assert large == {128, 192, 256}


def test_an_environment_of_any_recipe_looks_the_same(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    envs = [
        ConsoleVectorEnv(1, corpus=tiny_corpus.path, setting=sample_recipe(tiny_setting, seed), reward="raw")
        for seed in (0, 5)
    ]
    assert envs[0].core.setting != envs[1].core.setting
    assert envs[0].observation_space == envs[1].observation_space
    for env in envs:
        env.reset(seed=0)
        for _ in range(env.horizon):
            _, reward, terminated, _, _ = env.step(np.zeros(env.action_space.shape, np.float32))
        assert terminated.all()
        assert np.isfinite(reward).all()
