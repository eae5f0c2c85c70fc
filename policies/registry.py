"""Policies by name, or from a file."""

from collections.abc import Callable
from pathlib import Path

from ..lm.errors import InputError
from ..lm.files import nearest
from .base import Policy
from .fixed import Natural, SingleAgent, Uniform
from .rules import Agreement, PaperRule
from .storage import load_policy

POLICIES: dict[str, Callable[[], Policy]] = {
    "natural": Natural,
    "uniform": Uniform,
    "agreement": Agreement,
    "paper-rule": PaperRule,
}


def make_policy(name_or_path: str, agents: tuple[str, ...] = ()) -> Policy:
    """A policy by name; `only:<agent>`, or plainly the name of one of `agents`, for that agent alone; or the learned
    policy in a policy.json, a policy.safetensors or a run folder. InputError: none of these."""
    if name_or_path in POLICIES:
        return POLICIES[name_or_path]()
    if name_or_path.startswith("only:"):
        return SingleAgent(name_or_path.removeprefix("only:"))
    if name_or_path in agents:
        return SingleAgent(name_or_path)
    path = Path(name_or_path)
    if path.exists() or len(path.parts) > 1 or path.suffix in (".json", ".safetensors"):
        return load_policy(path)
    known = nearest(name_or_path, [*POLICIES, *agents])
    raise InputError(f"unknown policy '{name_or_path}'; {known}, only:<agent>, or a policy file or run folder")
