"""Complete runs of a target under several policies, one after another, each a stage of one run folder."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...env.scenarios.pool import whole_corpus_scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.models.engine_config import EngineConfig
from ...policies.base import Policy
from ..progress import Progress
from .model_folder import bits_per_byte, save_model, usable_tokenizer
from .pretraining import Pretraining
from .run_folder import RunFolder

CHECKPOINTS = "checkpoints"  # folder in the run's folder


@dataclass
class TargetRuns:
    """Runs on the whole corpus, for the reference tasks with these weights (none: equal weights)."""

    folder: RunFolder
    task: Task
    reference: dict[str, float]
    progress: Progress

    def run(
        self,
        name: str,
        setting: Setting,
        policy: Policy,
        seed: int,
        *,
        on_ladder: bool = False,
        model_folder: Path | None = None,
    ) -> dict[str, Any]:
        """The result of one run, from an earlier session if it has finished: its `row` of the metrics, the model's
        `params`, and the seconds of each part, `profile_s`. A run of natural's ladder logs no curve."""
        from ...lm.target.checkpoints import Checkpoints
        from ...lm.target.ranks import Ranks

        self.progress.stage(name, 40)
        checkpoints = Checkpoints(self.folder.path / CHECKPOINTS / name, Ranks(setting.device))
        found = None if name in self.folder.stages else checkpoints.newest()

        def work() -> dict[str, Any]:
            scenario = whole_corpus_scenario(self.task, setting.budget_tokens, self.reference)
            target = setting.target(self.task, EngineConfig())
            run = Pretraining(
                self.task, setting.episode, target, policy, scenario, seed, checkpoints, log_curve=not on_ladder
            )
            losses = run.run(found, self.folder, self.progress)
            about = {"stage": "natural-ladder"} if on_ladder else {"stage": "target-final", "policy": policy.name}
            row: dict[str, Any] = about | {"seed": seed, "tokens": setting.budget_tokens}
            row |= {"task_weights": dict(scenario.reference), "test_loss_nats": losses}
            row["test_bits_per_byte"] = bits_per_byte(self.task, losses)
            self.folder.log([row])
            if model_folder is not None:
                save_model(target, usable_tokenizer(self.task, setting.origin or setting.tokenizer), model_folder)
            return {"row": row, "params": target.num_params, "profile_s": run.episode.stopwatch.seconds}

        before_s = 0.0 if found is None else found.about["elapsed_s"]
        result: dict[str, Any] = self.folder.stage(name, work, elapsed_before_s=before_s)
        shutil.rmtree(checkpoints.folder, ignore_errors=True)
        return result


def in_flight_bytes(folder: Path) -> int:
    """How many bytes of the metrics were written before the newest checkpoint of an unfinished run."""
    from ...lm.target.checkpoints import Checkpoints
    from ...lm.target.ranks import Ranks

    found = [Checkpoints(path, Ranks("cpu")).newest() for path in folder.glob(f"{CHECKPOINTS}/*")]
    return max((each.about["metrics_bytes"] for each in found if each is not None), default=0)
