"""The card of a learned policy: where it comes from. It travels in policy.json."""

from dataclasses import dataclass
from typing import Annotated

from ...lm.io.typed_json import Natural, one_of

ALGORITHMS = ("response", "cma-es", "ppo", "sac", "tqc", "regression", "best-static", "regmix", "schedule")
Cell = str | float | int | bool | None


@dataclass(frozen=True)
class PolicyCard:
    """algorithm: one of ALGORITHMS; agents: trained with, null first; proxies: one line about the models; corpus: its
    fingerprint; command: that trained it; versions: of libraries; ranges: (lowest, highest) of each feature in
    training; evaluation: rows of a table, which may be empty; proxy_runs: that the learning took, controls too."""

    algorithm: Annotated[str, one_of(*ALGORITHMS)]
    agents: tuple[str, ...]
    proxies: str
    corpus: str
    command: str
    versions: dict[str, str]
    ranges: dict[str, tuple[float, float]]
    evaluation: tuple[dict[str, Cell], ...] = ()
    proxy_runs: Natural = 0
