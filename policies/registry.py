"""Policies by name, or from a file."""

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

from ..lm.io.errors import InputError
from ..lm.io.files import nearest
from .base import Policy
from .baselines.constant import Constant
from .baselines.exp3 import Exp3
from .baselines.fixed import Natural, SingleAgent, Uniform
from .baselines.frozen import Frozen
from .baselines.rules import Agreement, Lift, PaperRule, Ridge
from .baselines.sure import Sure

POLICIES: dict[str, Callable[[], Policy]] = {
    "natural": Natural,
    "uniform": Uniform,
    "agreement": Agreement,
    "lift": Lift,
    "ridge": Ridge,
    "paper-rule": PaperRule,
    "exp3": Exp3,
}

CHANGE = re.compile(r"(sure|frozen-(\d+))(?::|$)")  # before a policy, of which another is made
SHIPPED = Path(__file__).parent / "saved" / "shipped"  # a folder a policy, by name: what others learned already


def shipped() -> list[str]:
    """Names of the learned policies that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/policy.json"))


def make_policy(name_or_path: str, agents: tuple[str, ...] = ()) -> Policy:
    """A policy by name, a rule's with settings if wanted (`paper-rule:eta=0.1,strength=0.25`); the same weights
    throughout, by agent or family of agents (`constant:strength=0.3,influence=2,match=1`); `only:<agent>`, or plainly
    the name of one of `agents`, for that agent alone; the learned policy in a policy.json, a policy.safetensors or a
    run folder; or any of these that selects nothing where the rule lift would not (`sure:many-tasks`), or that is held
    after its second decision, say (`frozen-2:agreement`). InputError: none."""
    if change := CHANGE.match(name_or_path):
        inner = make_policy(name_or_path[change.end() :], agents)
        return Sure(inner) if change[1] == "sure" else Frozen(inner, int(change[2]))
    name, _, settings = name_or_path.partition(":")
    if name == "constant":
        shares = _numbers(name, settings)
        return Constant(shares.pop("strength", 1.0), shares)
    if name in POLICIES:
        return POLICIES[name](**_settings(name, settings))
    if name_or_path.startswith("only:"):
        return SingleAgent(name_or_path.removeprefix("only:"))
    if name_or_path in agents:
        return SingleAgent(name_or_path)
    path = SHIPPED / name_or_path if name_or_path in shipped() else Path(name_or_path)
    if (name_or_path and path.exists()) or len(path.parts) > 1 or path.suffix in (".json", ".safetensors"):
        from .saved.storage import load_policy  # which needs torch, and rules do not

        return load_policy(path)
    known = nearest(name_or_path, [*POLICIES, "constant", *shipped(), *agents])
    raise InputError(f"unknown policy '{name_or_path}'; {known}, only:<agent>, or a policy file or run folder")


def _settings(name: str, text: str) -> dict[str, float]:
    """The numbers in `key=value,...` that the rule `name` takes."""
    kind = POLICIES[name]
    known: list[str] = [field.name for field in fields(kind) if field.init] if is_dataclass(kind) else []
    for key in (settings := _numbers(name, text)):
        if key not in known:
            has = nearest(key, known) if known else "it has none"
            raise InputError(f"policy '{name}' has no setting '{key}'; {has}")
    return settings


def _numbers(name: str, text: str) -> dict[str, float]:
    numbers = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        try:
            numbers[key] = float(value)
        except ValueError:
            raise InputError(f"policy '{name}': {key} is '{value}', expected a number") from None
    return numbers
