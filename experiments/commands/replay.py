"""pretraingym replay: run recorded episodes again with their exact weights, and compare the results."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console

from ...env.console.action_map import ActionMap
from ...env.console.weights import natural_weights
from ...env.episode import Episode, run_episode
from ...env.recording.config_record import ConfigRecord
from ...env.recording.episode_record import EpisodeRecord
from ...env.recording.record_file import read_records
from ...env.recording.recorder import Recorder
from ...env.scenarios.roster import Roster
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError
from ..analysis.replay_comparison import ReplayDifference, difference_table, replay_difference
from ..progress import Progress
from ..runs.preflight import preflight_task

AT_ONCE = 16  # runs side by side; their numbers do not depend on it


@dataclass(frozen=True)
class ReplayConfig:
    """Run recorded episodes again and compare every interval. Exit code 1: an episode differs from its record."""

    file: tyro.conf.Positional[Path]
    """a run's episodes.jsonl, or the file that an environment got as `records`"""
    count: int | None = None
    """replay the first so many episodes (default: all)"""
    tolerance: float = 1e-6
    """nats by which a loss may differ; on the same CPU with the same versions losses are equal to the bit"""
    corpus: Path | None = None
    """folder of the corpus, if it has moved since"""

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise InputError(f"count is {self.count}, expected at least 1 episode")
        if not self.tolerance >= 0:
            raise InputError(f"tolerance is {self.tolerance}, expected nats from 0 up")


def main(config: ReplayConfig) -> dict[str, Any]:
    """Replay, print a table of the comparisons, return the counts."""
    configs, episodes = read_records(config.file)
    if not episodes:
        raise InputError(f"{config.file} holds no finished episode: there is nothing to replay")
    chosen = episodes[: config.count]
    tasks = {key: _open_task(configs[key], config.corpus) for key in {episode.config for episode in chosen}}
    found: dict[int, ReplayDifference] = {}  # by place in the file
    with Progress() as progress:
        progress.stage("replay", None)
        for key, task in tasks.items():
            places = [place for place, episode in enumerate(chosen) if episode.config == key]
            for first in range(0, len(places), AT_ONCE):
                batch = places[first : first + AT_ONCE]
                replayed = replay(task, configs[key], [chosen[place] for place in batch])
                for place, again in zip(batch, replayed, strict=True):
                    expected = weights_of_actions(chosen[place], task, configs[key])
                    found[place] = replay_difference(chosen[place], again, expected, config.tolerance)
                progress.update(len(found), len(chosen))
    differences = [found[place] for place in range(len(chosen))]
    Console().print(difference_table(differences))
    return {
        "episodes": len(episodes),
        "replayed": len(differences),
        "largest_difference_nats": max(each.nats for each in differences),
        "mismatches": sum(bool(each.faults) for each in differences),
    }


def _open_task(config: ConfigRecord, corpus: Path | None) -> Task:
    """The task of the recorded setting on the recorded corpus. InputError: the corpus is another one, or gives other
    agents, reference tasks or label columns now."""
    path = corpus or Path(config.corpus.path)
    if corpus is None and not path.is_dir():
        raise InputError(f"the corpus of the records is no longer at {path}: name a copy of it with --corpus")
    opened, setting = Corpus.open(path, verify=True), config.setting
    task: Task = preflight_task(setting, opened) if isinstance(setting, Setting) else setting.task(opened)
    found, recorded = task.corpus.fingerprint, config.corpus.fingerprint
    if found != recorded:
        raise InputError(
            f"{path} has fingerprint {found[:16]}, the records are of {recorded[:16]}: name the corpus that they were "
            "made on with --corpus"
        )
    here = ConfigRecord.of(task, setting)
    for name in ("agents", "tasks", "columns"):
        if getattr(here, name) != getattr(config, name):
            raise InputError(f"the records have {name} {getattr(config, name)}, here they are {getattr(here, name)}")
    differ = [
        f"{name} {its} there, {here.versions.get(name)} here"
        for name, its in config.versions.items()
        if here.versions.get(name) != its
    ]
    if differ:
        warnings.warn(
            f"versions differ, and with them perhaps the last digits: {'; '.join(differ)}. For the same digits install "
            "those there, or allow for it with --tolerance",
            stacklevel=2,
        )
    return task


def weights_of_actions(record: EpisodeRecord, task: Task, config: ConfigRecord) -> NDArray[np.float64]:
    """The weights that the record's actions are mapped to, (I, K); natural's for a control."""
    if record.actions_IK is None:
        return natural_weights(record.num_intervals, len(config.agents))
    roster = Roster(task.prototypes, list(task.layout.columns), 1)
    roster.begin(0, record.scenario, record.seed)
    mask = np.repeat(roster.mask_NK, record.num_intervals, 0)
    action_map: ActionMap = config.setting.episode.action_map
    return action_map.weights(record.actions_IK, mask)


def replay(task: Task, config: ConfigRecord, records: list[EpisodeRecord]) -> list[EpisodeRecord | None]:
    """The records (all of `config`) of new runs of these episodes, side by side; None for one that did not end in as
    many intervals as its record has."""
    again: list[EpisodeRecord | None] = [None] * len(records)

    def write(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = {"kind": "episode", "config": records[0].config, **line}
            again[line["number"]] = EpisodeRecord.from_json(value, "the replay", {records[0].config: config})

    clock, slots = config.setting.episode, list(range(len(records)))
    scenarios, seeds = [record.scenario for record in records], [record.seed for record in records]
    episode = Episode(task, config.setting.backend(task, len(records)), clock)
    recorder = Recorder(task, write)
    recorder.begin(slots, [(0, slot) for slot in slots], scenarios, seeds, 0)
    episode.enter(slots, scenarios, seeds)

    def recorded(episode: Episode) -> NDArray[np.float64]:
        """The recorded weights of each run's next interval; of one that is over, its last ones."""
        place = np.minimum(episode.interval_N, [record.num_intervals - 1 for record in records])
        return np.stack([record.weights_IK[interval] for record, interval in zip(records, place, strict=True)])

    def due() -> NDArray[np.bool_]:
        """Which runs have a recorded interval left."""
        return ~episode.done_N & (episode.interval_N < [record.num_intervals for record in records])

    run_episode(episode, recorded, active=due, on_interval=recorder.add)
    return again
