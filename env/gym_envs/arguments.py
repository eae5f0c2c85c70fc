"""How an environment is made: from arguments, which are plain values too, so that a spec goes through JSON."""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from gymnasium.envs.registration import EnvSpec

from ...lm.io.errors import InputError
from ...lm.io.typed_json import from_json, to_json
from ..scenarios.distribution import ScenarioDistribution
from ..settings.setting import EpisodeSetting, Setting
from ..settings.setting_json import KNOWN, setting_as_json, setting_from_json
from ..settings.surrogate_setting import SurrogateSetting
from .paired_runs import PairedRuns
from .rendering import check_render_mode


class FromArguments:
    """What both environments have: their runs, and how they were made. The defaults are those of the arguments."""

    default_setting: ClassVar[type[Setting] | type[SurrogateSetting]] = Setting
    default_distribution: ClassVar[ScenarioDistribution] = ScenarioDistribution()
    _spec: EnvSpec | None = None

    def set_up(
        self,
        corpus: str | Path | None,
        setting: EpisodeSetting | Mapping[str, Any] | None,
        distribution: ScenarioDistribution | Mapping[str, Any] | None,
        render_mode: str | None,
        records: str | Path | None,
        **of_runs: Any,
    ) -> None:
        """Open the corpus and make the runs. of_runs: `PairedRuns`' others. InputError: an argument is wrong."""
        check_render_mode(render_mode)
        self.corpus, self.render_mode = corpus, render_mode
        setting = setting_of(setting, self.default_setting())
        self.runs = PairedRuns(
            setting.open_task(corpus),
            setting,
            distribution=distribution_of(distribution, self.default_distribution),
            records=None if records is None else Path(records),
            **of_runs,
        )
        self.agent_names, self.action_map = self.runs.task.agent_names, self.runs.action_map
        self.horizon = setting.episode.num_intervals

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes another one, which both classes take."""
        runs = self.runs
        return {
            "corpus": self.corpus,
            "setting": runs.setting,
            "reward": runs.reward,
            "distribution": runs.distribution,
            "render_mode": self.render_mode,
            "records": runs.records,
        }

    @property
    def spec(self) -> EnvSpec | None:
        """How Gymnasium made it, as JSON can hold it; None: it was not made so. `max_episode_steps` is the horizon, at
        which the episode itself ends: that is termination, and no TimeLimit stands behind it."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            kwargs = {name: _plain(value) for name, value in spec.kwargs.items()}
            spec = replace(spec, kwargs=kwargs, max_episode_steps=self.horizon)
        self._spec = spec


def setting_of(given: EpisodeSetting | Mapping[str, Any] | None, default: EpisodeSetting) -> EpisodeSetting:
    """The setting that was given. A mapping holds some of its fields, and maybe `type`: the others are as in `default`.
    InputError: a mapping with a field that there is not, or that is no setting at all."""
    if given is None:
        return default
    if not isinstance(given, Mapping):
        if not hasattr(given, "open_task"):
            raise InputError(
                f"setting is {type(given).__name__}, expected a {' or '.join(KNOWN)}, or a mapping of fields"
            )
        return given
    kind = KNOWN.get(given.get("type", ""), type(default))
    known = setting_as_json(default if type(default) is kind else kind())
    setting: EpisodeSetting = setting_from_json(_over(known, to_json(dict(given))), "setting")
    return setting


def distribution_of(
    given: ScenarioDistribution | Mapping[str, Any] | None, default: ScenarioDistribution
) -> ScenarioDistribution:
    """The distribution that was given, as `setting_of` for settings."""
    if given is None:
        return default
    if isinstance(given, Mapping):
        return from_json(ScenarioDistribution, _over(to_json(default), to_json(dict(given))), "distribution")
    if not isinstance(given, ScenarioDistribution):
        raise InputError(
            f"distribution is {type(given).__name__}, expected a ScenarioDistribution, or a mapping of fields"
        )
    return given


def _over(known: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`known` with what is given in place, also inside of what is nested."""
    inside = {
        key: _over(known[key], value)
        for key, value in given.items()
        if isinstance(value, Mapping) and isinstance(known.get(key), dict)
    }
    return {**known, **given, **inside}


def _plain(value: Any) -> Any:
    if type(value) in KNOWN.values():
        return setting_as_json(value)
    if isinstance(value, ScenarioDistribution | Path):
        return to_json(value)
    return value.value if isinstance(value, Enum) else value
