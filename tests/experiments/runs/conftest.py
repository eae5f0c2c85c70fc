"""Fixtures of the runs' tests."""

from collections.abc import Callable
from typing import Any

import pytest

from pretraingym.experiments.commands.pretrain import PretrainConfig, main
from pretraingym.experiments.runs.pretraining import Pretraining


class Stop(Exception):
    pass


@pytest.fixture
def stopped() -> Callable[[PretrainConfig, int], None]:
    """Runs a configuration, and breaks off right after it has saved so many times."""

    def run(config: PretrainConfig, saves: int) -> None:
        save, count = Pretraining._save, [0]

        def counted(self: Pretraining, *arguments: Any) -> None:
            save(self, *arguments)
            count[0] += 1
            if count[0] == saves:
                self.checkpoints.finish()
                raise Stop

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Pretraining, "_save", counted)
            with pytest.raises(Stop):
                main(config)

    return run
