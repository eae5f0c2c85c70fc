"""Policies as the command line names them: POLICY, NAME=POLICY, or NAME=POLICY+POLICY+... for several learned alike."""

import warnings
from collections.abc import Iterator, Mapping, Sequence

from ..lm.io.errors import InputError
from .base import Policy
from .baselines.fixed import Natural
from .baselines.frozen import Frozen
from .baselines.sure import Sure
from .registry import CHANGE, make_policy
from .saved.learned import LearnedPolicy

MEMBER = "#"  # stands before the number of a policy among several of one name


def parse_policies(policies: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(name, its policies) of each text. Without NAME=, the name is the last part of the path, after what changes the
    policy there (`sure:`), or the rule as it is given."""
    for text in policies:
        name, equals, policy = text.partition("=")
        own = equals and name.replace("-", "").replace("_", "").isalnum()
        yield (name, tuple(policy.split("+"))) if own else (_last_part(text), (text,))


def _last_part(text: str) -> str:
    if change := CHANGE.match(text):
        return change[0] + _last_part(text[change.end() :])
    return text.rstrip("/").split("/")[-1]


def members_of(policies: Sequence[str]) -> Iterator[str]:
    """Each policy of these texts, without the names."""
    return (member for _, members in parse_policies(policies) for member in members)


def check_names(policies: Sequence[str], taken: Sequence[str] = (Natural.name,)) -> None:
    """InputError: two policies have one name, or one that is taken."""
    names = [name for name, _ in parse_policies(policies)]
    for name in names:
        if MEMBER in name:
            raise InputError(
                f"a policy is called '{name}', expected no {MEMBER} in it: give it a name, as in mine=PATH"
            )
    if len({*taken, *names}) < len(taken) + len(names):
        raise InputError(
            f"policies are called {', '.join(names)}, expected different names, none of them {' or '.join(taken)}"
        )


def make_policies(policies: Sequence[str], agents: tuple[str, ...]) -> dict[str, Policy]:
    """The policies by name; several of one name are NAME#1, NAME#2, ... Learned ones do not warn of what they meet:
    `warn_beyond_training` sums it up. InputError: a policy that cannot drive the agents."""
    made = {}
    for name, members in parse_policies(policies):
        for number, text in enumerate(members, 1):
            policy = made[f"{name}{MEMBER}{number}" if len(members) > 1 else name] = make_policy(text, agents)
            policy.reset(agents, 1)
            if (learned := learned_in(policy)) is not None:
                learned.warns = False
    return made


def learned_hashes(policies: Mapping[str, Policy]) -> dict[str, str]:
    """Hashes of the learned policies among them, so that a run does not go on with another policy in the same
    folder."""
    from .saved.storage import policy_hash

    inner = {name: learned_in(policy) for name, policy in policies.items()}
    return {name: policy_hash(policy) for name, policy in inner.items() if policy is not None}


def warn_beyond_training(policies: Mapping[str, Policy]) -> None:
    """One warning, after all runs, of the learned policies that met what they never met while they learned."""
    learned = {name: found for name, policy in policies.items() if (found := learned_in(policy)) is not None}
    told = [
        f"'{name}' in {policy.met.counted}: at the farthest {policy.met.told}"
        for name, policy in learned.items()
        if policy.met.decisions_outside
    ]
    if told:
        warnings.warn(
            f"learned policies met what they never met while they learned, and may have chosen badly there; "
            f"{'; '.join(told)}. Judge them by their harm here, or take the rule lift in their place",
            stacklevel=2,
        )


def learned_in(policy: Policy) -> LearnedPolicy | None:
    """The policy itself if it is learned, or the learned one within it."""
    while isinstance(policy, Frozen | Sure):
        policy = policy.inner
    return policy if isinstance(policy, LearnedPolicy) else None


def group_by_shared_name(names: Sequence[str]) -> dict[str, list[str]]:
    """Names that `make_policies` gave, by the name that the policies share."""
    families: dict[str, list[str]] = {}
    for name in names:
        shared, _, number = name.rpartition(MEMBER)
        families.setdefault(shared if shared and number.isdecimal() else name, []).append(name)
    return families
