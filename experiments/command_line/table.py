"""The table of commands: a new one is a row here and a module of its own."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROGRAM = "pretraingym"
PACKAGE = __package__.rpartition(".")[0]  # whose modules the table names
Run = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class Command:
    """module: below this package, loaded when the command is named, so that a corpus is built without torch; config,
    run: names in it; presets: the module of its presets."""

    module: str
    config: str
    run: str = "main"
    presets: str = ""

    def load(self) -> tuple[type, Run]:
        """Its configuration's class, and the function that runs it."""
        module = import_module(f".{self.module}", PACKAGE)
        return getattr(module, self.config), getattr(module, self.run)

    def defaults(self, kind: type) -> dict[str, Callable[[], Any]]:
        """What its flags start from, by preset; without --preset it is the first."""
        if not self.presets:
            return {}
        presets: dict[str, Callable[[], Any]] = import_module(f".{self.presets}", PACKAGE).PRESETS[kind]
        return presets

    def about(self) -> str:
        """The first sentence of its configuration's docstring, read without loading the module."""
        spec = find_spec(f".{self.module}", PACKAGE)
        assert spec is not None, self.module
        assert spec.origin is not None, self.module
        for node in ast.parse(Path(spec.origin).read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name == self.config:
                return " ".join((ast.get_docstring(node) or "").split()).partition(". ")[0].rstrip(".")
        raise AssertionError(f"no class {self.config} in {spec.origin}")


COMMANDS = {
    "quickstart": Command("commands.quickstart", "QuickstartConfig"),
    "train-console": Command("commands.train_console", "TrainConsoleConfig", presets="commands.presets"),
    "pretrain": Command("commands.pretrain", "PretrainConfig", presets="commands.presets"),
    "compare": Command("commands.compare", "CompareConfig"),
    "transfer": Command("commands.transfer", "TransferConfig"),
    "replay": Command("commands.replay", "ReplayConfig"),
    "export": Command("commands.export", "ExportConfig"),
    "evaluate": Command("commands.evaluate", "EvaluateConfig"),
    "corpus build": Command("corpus_commands.build", "BuildConfig", presets="corpus_commands.presets"),
    "corpus label": Command("corpus_commands.label", "LabelConfig", run="label"),
    "corpus card": Command("corpus_commands.label", "CardConfig", run="card"),
    "fit": Command("commands.fit", "FitConfig"),
    "surrogate fit": Command("commands.surrogate_fit", "SurrogateFitConfig"),
}
