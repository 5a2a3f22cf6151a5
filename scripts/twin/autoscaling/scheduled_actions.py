"""Scheduled actions of Application Auto Scaling, which change bounds once at a given time.

`moor scale --for 2h` makes one that restores the bounds. Its time is that of the clock, and not
counted in the twin's short minutes.
"""

import logging
import re
from datetime import UTC, datetime

from moto.applicationautoscaling.models import ApplicationAutoscalingBackend

log = logging.getLogger("twin.scaling")

# https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")


def apply_due(backend: ApplicationAutoscalingBackend, now: datetime) -> None:
    """Set the bounds of every `at(…)` action that is due, and delete the action.

    `Scaling.keep_bounds` then moves a count that is outside the new bounds.
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
