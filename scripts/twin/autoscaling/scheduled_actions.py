"""Scheduled actions of Application Auto Scaling: bounds that change at a time, once.

`moor scale --for 2h` leaves one behind, so that the bounds come back whatever the laptop does. On
the clock, not in the twin's minutes: the time is written into the action.
"""

import logging
import re
from datetime import UTC, datetime

from moto.applicationautoscaling.models import ApplicationAutoscalingBackend

log = logging.getLogger("twin.scaling")

# https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")


def apply_due(backend: ApplicationAutoscalingBackend, now: datetime) -> None:
    """Set the bounds of every action whose time has come, and forget it. Others than `at(…)` stay.

    The count follows where it is outside: `Scaling.keep_bounds` sees that they have moved.
    """
    for action in list(backend.scheduled_actions):
        found = AT.fullmatch(action.schedule or "")
        if not found or datetime.fromisoformat(found[1]).replace(tzinfo=UTC) > now:
            continue
        targets = backend.targets[action.scalable_dimension]
        target = targets.get(action.resource_id)
        bounds = action.scalable_target_action
        if target is not None and isinstance(bounds, dict):
            target.min_capacity = bounds.get("MinCapacity", target.min_capacity)
            target.max_capacity = bounds.get("MaxCapacity", target.max_capacity)
            log.info("%s: bounds are %s by %s", action.resource_id, bounds, action.schedule)
        backend.scheduled_actions.remove(action)
