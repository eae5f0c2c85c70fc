"""The surrogate's environments as libraries see them."""

import gymnasium as gym
import pytest

import pretraingym.env  # noqa: F401 (registers the environments)


@pytest.mark.parametrize("name", ["Console", "Surrogate"])
def test_gymnasium_is_among_the_direct_bases(name: str) -> None:
    """The wrap_env of skrl tells an environment's kind by its class's direct bases, and goes no further."""
    entry = gym.spec(f"PretrainGym/{name}-v2").vector_entry_point
    assert isinstance(entry, str)
    assert gym.vector.VectorEnv in gym.envs.registration.load_env_creator(entry).__bases__
