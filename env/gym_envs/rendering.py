"""Pictures of runs: the weights in force as bars, with the loss, what was gained and the interval."""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from .paired_runs import PairedRuns

RENDER_MODES = ("ansi", "rgb_array")
METADATA = {"render_modes": list(RENDER_MODES), "render_fps": 2}  # of both environments
BAR = 30  # characters of a weight of 1
SIZE, DOTS_PER_INCH = (480, 320), 80  # of a picture, width and height in pixels
Frame = str | NDArray[np.uint8] | None


@dataclass(frozen=True)
class Scene:
    """What is shown of one run. weights_K: of the agents, NaN where the run has not the agent; loss and gain in nats
    per token."""

    agent_names: tuple[str, ...]
    weights_K: NDArray[np.float64]
    loss: float
    gain: float
    interval: int
    horizon: int

    @property
    def title(self) -> str:
        return f"interval {self.interval} of {self.horizon}   loss {self.loss:.3f}   gain {self.gain:+.3f} nats"

    def as_text(self) -> str:
        """A line for each agent under the title."""
        width, lines = max(map(len, self.agent_names)), [self.title]
        for name, weight in zip(self.agent_names, self.weights_K, strict=True):
            told = "absent" if np.isnan(weight) else f"{weight:5.3f} {'#' * round(BAR * weight)}"
            lines.append(f"{name:>{width}} {told}".rstrip())
        return "\n".join(lines) + "\n"

    def as_picture(self) -> NDArray[np.uint8]:
        """The same as pixels, (height, width, 3) of `SIZE`."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second, which runs without pictures save
        from matplotlib.figure import Figure

        figure = Figure((SIZE[0] / DOTS_PER_INCH, SIZE[1] / DOTS_PER_INCH), DOTS_PER_INCH)
        canvas, axes = FigureCanvasAgg(figure), figure.add_axes((0.25, 0.16, 0.7, 0.72))
        places = np.arange(len(self.agent_names))
        axes.barh(places, np.nan_to_num(self.weights_K), color="#3465a4")
        axes.set_yticks(places, self.agent_names)
        for name, weight in zip(axes.get_yticklabels(), self.weights_K, strict=True):
            name.set_color("#aaaaaa" if np.isnan(weight) else "black")
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xlabel="weight")
        axes.set_title(self.title, fontsize=10)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def check_render_mode(mode: str | None) -> None:
    """InputError: there is no such mode."""
    if mode is not None and mode not in RENDER_MODES:
        raise InputError(f"render_mode is {mode!r}, expected None or one of {', '.join(RENDER_MODES)}")


def frames(runs: PairedRuns, mode: str | None) -> tuple[Frame, ...]:
    """What `mode` shows of each visible run; nothing, with Gymnasium's warning, where there is none."""
    if mode is None:
        gym.logger.warn(
            "render was called and render_mode is None, so nothing is shown: give `make` one of "
            f"render_mode={', '.join(map(repr, RENDER_MODES))}"
        )
        return (None,) * runs.num_envs
    if runs.base_seed is None:
        raise InputError("render before the first reset: call reset")
    scenes = [_scene(runs, slot) for slot in range(runs.num_envs)]
    return tuple(scene.as_text() if mode == "ansi" else scene.as_picture() for scene in scenes)


def _scene(runs: PairedRuns, slot: int) -> Scene:
    episode = runs.episode
    return Scene(
        tuple(runs.task.agent_names),
        np.where(episode.mask_NK[slot], episode.weights_NK[slot], np.nan),
        float(episode.loss_N[slot]),
        float(runs.gain_N[slot]),
        int(episode.interval_N[slot]),
        episode.config.num_intervals,
    )
