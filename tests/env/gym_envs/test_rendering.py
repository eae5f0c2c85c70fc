"""What is rendered: text, pictures, tuples of them; and what is refused."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from pretraingym.env.gym_envs.rendering import SIZE
from pretraingym.lm.io.errors import InputError

Make = Callable[..., Any]
Actions = Callable[..., Iterator[np.ndarray]]


def test_the_text_shows_weights_loss_and_gain(single: Make, actions_of: Actions) -> None:
    env = single(render_mode="ansi")
    env.reset(seed=0)
    gained, info = 0.0, {}
    for actions in actions_of(env, 2):
        _, reward, *_, info = env.step(actions)
        gained += reward
    title, *bars = env.render().splitlines()
    assert title == f"interval 2 of 6   loss {info['loss']:.3f}   gain {gained:+.3f} nats"
    assert [bar.split()[0] for bar in bars] == list(env.unwrapped.agent_names)
    for bar, weight in zip(bars, info["weights"], strict=True):
        assert bar.split()[1] == (f"{weight:.3f}" if weight else "absent")
        assert bar.count("#") == round(30 * weight)


def test_pictures_have_one_size_and_change_with_the_run(single: Make) -> None:
    env = single(render_mode="rgb_array")
    env.reset(seed=0)
    pictures = [env.render(), env.render()]
    env.step(np.ones(env.action_space.shape, np.float32))
    pictures.append(env.render())
    assert {(picture.shape, picture.dtype) for picture in pictures} == {((SIZE[1], SIZE[0], 3), np.dtype(np.uint8))}
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()


def test_many_are_rendered_as_a_tuple(native: Make, single: Make) -> None:
    ours = native(render_mode="ansi")
    theirs = SyncVectorEnv([lambda: single(render_mode="ansi")] * 2)
    for env in (ours, theirs):
        env.reset(seed=[1, 2])
    assert ours.render() == theirs.render()
    with pytest.warns(UserWarning, match="render_mode is None"):
        assert native().render() == (None, None)


@pytest.mark.filterwarnings("ignore:.*render_mode")
def test_render_modes_that_there_are_not_are_refused(single: Make, native: Make) -> None:
    for make in (single, native):
        with pytest.raises(InputError, match="render_mode is 'picture', expected None or one of ansi, rgb_array"):
            make(render_mode="picture")
    with pytest.raises(InputError, match="render before the first reset"):
        native(render_mode="ansi").render()
