"""The card of a learned policy: where it comes from. It travels in policy.json."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from ...lm.io.errors import InputError
from ...lm.io.typed_json import Natural, text

LEARNER_NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")
MAX_LEARNER_NAME = 32  # characters
Cell = str | float | int | bool | None


def learner_name(value: Any, where: str) -> None:
    """A check of JSON: what the name of a learner may look like. It may be a learner that this version does not have:
    a policy acts without it."""
    text(value, where)
    if len(value) > MAX_LEARNER_NAME or not LEARNER_NAME.fullmatch(value):
        raise InputError(
            f"{where} is {value[:80]!r}, expected a learner's name: at most {MAX_LEARNER_NAME} small letters, digits "
            "and single hyphens"
        )


@dataclass(frozen=True)
class PolicyCard:
    """algorithm: the learner's name; agents: trained with, null first; proxies: one line about the models; corpus: its
    fingerprint; command: that trained it; versions: of libraries; ranges: (lowest, highest) of each feature in
    training; evaluation: rows of a table, which may be empty; proxy_runs: that the learning took, controls too."""

    algorithm: Annotated[str, learner_name]
    agents: tuple[str, ...]
    proxies: str
    corpus: str
    command: str
    versions: dict[str, str]
    ranges: dict[str, tuple[float, float]]
    evaluation: tuple[dict[str, Cell], ...] = ()
    proxy_runs: Natural = 0
