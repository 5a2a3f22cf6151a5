"""Scaling activities, which moto lacks: what was changed, why, and whether it is done."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.applicationautoscaling.models import ApplicationAutoscalingBackend, FakeScalableTarget
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.moto_api._internal import mock_random

KEPT = 500
PAGE = 50  # AWS's maximum


@dataclass
class Activity:
    """One change of a desired count."""

    target: FakeScalableTarget
    count: int
    cause: str
    id: str = field(default_factory=lambda: str(mock_random.uuid4()))
    start: float = field(default_factory=time.time)
    end: float | None = None

    def finish(self) -> None:
        """The wanted count runs, or another count is wanted now."""
        self.end = time.time()

    def shown(self) -> dict[str, Any]:
        rest = (
            "Waiting for change to be fulfilled by ecs." if self.end is None
            else "Change successfully fulfilled by ecs."
        )  # fmt: skip
        found = {
            "ActivityId": self.id,
            "ServiceNamespace": self.target.service_namespace,
            "ResourceId": self.target.resource_id,
            "ScalableDimension": self.target.scalable_dimension,
            "Description": f"Setting desired count to {self.count}.",
            "Cause": self.cause,
            "StartTime": self.start,
            "StatusCode": "InProgress" if self.end is None else "Successful",
            "StatusMessage": f"Successfully set desired count to {self.count}. {rest}",
        }
        return found if self.end is None else {**found, "EndTime": self.end}


def apply() -> None:
    """Give moto DescribeScalingActivities; a second time changes nothing."""
    ApplicationAutoScalingResponse.describe_scaling_activities = _describe  # type: ignore[attr-defined]


def record(backend: ApplicationAutoscalingBackend, activity: Activity) -> None:
    _of(backend).appendleft(activity)


def finish(backend: ApplicationAutoscalingBackend, is_done: Callable[[Activity], bool]) -> None:
    """End the activities that are done."""
    for activity in _of(backend):
        if activity.end is None and is_done(activity):
            activity.finish()


def activities(backend: ApplicationAutoscalingBackend) -> Iterable[Activity]:
    """The activities, newest first."""
    return list(_of(backend))


def _of(backend: ApplicationAutoscalingBackend) -> deque[Activity]:
    # Kept in the backend, so that a reset of moto deletes them too.
    known: deque[Activity] = backend.__dict__.setdefault("activities", deque(maxlen=KEPT))
    return known


def _describe(self: ApplicationAutoScalingResponse) -> str:
    wanted = {
        name: self._get_param(name)
        for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")
    }
    found = [
        shown
        for shown in (each.shown() for each in activities(self.applicationautoscaling_backend))
        if all(value is None or shown[name] == value for name, value in wanted.items())
    ]
    start = int(self._get_param("NextToken") or 0)
    end = start + min(self._get_int_param("MaxResults") or PAGE, PAGE)
    more = {"NextToken": str(end)} if end < len(found) else {}
    return json.dumps({"ScalingActivities": found[start:end], **more})
