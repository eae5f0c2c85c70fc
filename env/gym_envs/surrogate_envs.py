"""The environments of `PretrainGym/Surrogate-v1`: the same as the console's, on formulas in place of models."""

from pathlib import Path
from typing import Any

from ...lm.corpus.corpus import Corpus
from ..settings.surrogate_toy import TOY_SCENARIOS, toy_corpus, toy_setting
from .single_env import ConsoleEnv
from .vector_env import ConsoleVectorEnv


def surrogate_env(**options: Any) -> ConsoleEnv:
    """`ConsoleEnv` on the surrogate: its arguments, of which `setting` is a `SurrogateSetting`.

    Without `setting` it is a toy on which learning shows (`toy_setting`, `TOY_SCENARIOS` and, without `corpus`,
    `toy_corpus`, all in env/settings/surrogate_toy.py). With `setting` all else is as in `ConsoleEnv`: for research
    give `SurrogateSetting()`, or one with `fitted`."""
    return ConsoleEnv(**_toy_unless_set(options))


def surrogate_vector_env(**options: Any) -> ConsoleVectorEnv:
    """`ConsoleVectorEnv` on the surrogate: its arguments, the defaults as in `surrogate_env`."""
    return ConsoleVectorEnv(**_toy_unless_set(options))


def _toy_unless_set(options: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None}
    if "setting" in given:
        return given
    corpus = Corpus.open(Path(given["corpus"])) if "corpus" in given else toy_corpus()
    return {"distribution": TOY_SCENARIOS, **given, "corpus": corpus.path, "setting": toy_setting(corpus)}
