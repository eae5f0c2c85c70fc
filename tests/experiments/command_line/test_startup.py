"""Help and refusals answer at once: what takes long to import is imported where it is used."""

import json
import subprocess
import sys

from pretraingym.experiments.command_line.table import COMMANDS

HEAVY = (  # .2 to 2 s each
    "accelerate", "cma", "datasets", "joblib", "matplotlib", "pandas", "sb3_contrib", "scipy", "sklearn",
    "stable_baselines3", "tokenizers", "torch", "transformers",
)  # fmt: skip
ANSWERED = [
    *("--help", "--version", "corpus --help", "compair", "corpus biuld", "--policy lift"),
    *(f"{name} --help" for name in COMMANDS),
    *(f"{name} --nonsense 1" for name in COMMANDS),
    *("compare --polices lift", "compare --scenarios many", "compare --scenarios 1", "pretrain --policy lift --keep x"),
    *("pretrain --preset 35m", "train-console --learn.algorithm pppo", "train-console --learn.start nobody"),
]
ANSWER = """
import contextlib, io, json, sys
from pretraingym.experiments import __main__ as command_line

heavy, answered, loaded = *map(json.loads, sys.argv[1:]), {}
for words in answered:
    sys.argv = ["pretraingym", *words.split()]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            command_line.main()
        except SystemExit as end:
            code = end.code or 0
    assert code == (0 if "--help" in words or "--version" in words else 2), (words, said.getvalue())
    if found := [name for name in heavy if name in sys.modules]:
        loaded[words] = found
print(json.dumps(loaded))
"""


def told(code: str, *arguments: str) -> str:
    """What another Python prints of that code."""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout


def test_no_help_and_no_refusal_loads_what_is_heavy() -> None:
    assert json.loads(told(ANSWER, json.dumps(HEAVY), json.dumps(ANSWERED))) == {}


def test_neither_does_the_environments_package() -> None:
    assert told(f"import sys, pretraingym.env; print(*sys.modules.keys() & set({HEAVY}))").split() == []
