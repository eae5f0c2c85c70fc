"""What learning starts from: a rule, or a policy that was learned from one."""

from dataclasses import replace

from ...env.console.action_map import ActionMap
from ...lm.io.errors import InputError
from ..actors.actor_config import SetActorConfig
from ..actors.set_actor import SetActor
from ..base import Policy
from ..baselines.rules import Agreement, Lift
from ..saved.learned import LearnedPolicy

Start = Agreement | Lift | LearnedPolicy


def checked_start(policy: Policy) -> Start:
    """That policy. InputError: one that learning cannot start from."""
    if isinstance(policy, Agreement | Lift) or (
        isinstance(policy, LearnedPolicy) and isinstance(policy.actor, SetActor)
    ):
        return policy
    raise InputError(
        f"start is '{policy.name}', expected agreement, lift or a policy that was learned from one of them"
    )


def set_actor_from(start: Start, action_map: ActionMap, hidden: int, seed: int) -> SetActor:
    """A clone of the rule `start`, or of what a learned policy knows; with residual networks of `hidden` units that
    start at zero, or of the learned policy's own width. InputError: a policy learned with another action map."""
    config = start.actor.config if isinstance(start, LearnedPolicy) else SetActorConfig()
    actor = SetActor(replace(config, hidden=config.hidden or hidden), action_map, seed)
    if isinstance(start, LearnedPolicy):
        if start.actor.action_map != action_map:
            raise InputError(f"'{start.name}' was learned with {start.actor.action_map}, expected {action_map}: set it")
        actor.load_state_dict(start.actor.state_dict(), strict=False)  # a network that only `actor` has starts at zero
    else:
        actor.clone(start)
    return actor
