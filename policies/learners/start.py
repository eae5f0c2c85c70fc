"""What learning starts from: a rule, or a policy that was learned from one."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ...env.console.action_map import ActionMap
from ...lm.io.errors import InputError
from ..actors.actor_config import SetActorConfig
from ..base import Policy
from ..baselines.rules import Agreement, Lift
from ..saved.learned import LearnedPolicy

if TYPE_CHECKING:
    from ..actors.set_actor import SetActor

HIDDEN = 16  # units of the residual networks that gradients learn
Start = Agreement | Lift | LearnedPolicy


def checked_start(policy: Policy) -> Start:
    """That policy. InputError: one that learning cannot start from."""
    if isinstance(policy, Agreement | Lift):
        return policy
    if isinstance(policy, LearnedPolicy):
        from ..actors.set_actor import SetActor

        if isinstance(policy.actor, SetActor):
            return policy
    raise InputError(
        f"start is '{policy.name}', expected agreement, lift or a policy that was learned from one of them"
    )


def linear_actor(action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start) -> "SetActor":
    """A clone of the rule or policy `start`. InputError: a policy learned with another action map."""
    return _set_actor(start, action_map, 0, seed)


def network_actor(action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start) -> "SetActor":
    """The same, with residual networks of HIDDEN units that start at zero."""
    return _set_actor(start, action_map, HIDDEN, seed)


def _set_actor(start: Start, action_map: ActionMap, hidden: int, seed: int) -> "SetActor":
    """A clone of the rule `start`, or of what a learned policy knows; with residual networks of `hidden` units that
    start at zero, or of the learned policy's own width. InputError: a policy learned with another action map."""
    from ..actors.set_actor import SetActor

    config = start.actor.config if isinstance(start, LearnedPolicy) else SetActorConfig()
    actor = SetActor(replace(config, hidden=config.hidden or hidden), action_map, seed)
    if isinstance(start, LearnedPolicy):
        if start.actor.action_map != action_map:
            raise InputError(f"'{start.name}' was learned with {start.actor.action_map}, expected {action_map}: set it")
        actor.load_state_dict(start.actor.state_dict(), strict=False)  # a network that only `actor` has starts at zero
    else:
        actor.clone(start)
    return actor
