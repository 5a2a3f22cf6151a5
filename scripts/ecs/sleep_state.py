"""What `moor sleep` has to remember: counts and bounds of an ECS service that is put to sleep.

It stands in a tag of the ECS service: there whoever wakes the stage finds it, from any machine, in
the answer that describes the service, and it goes when the service goes. A parameter elsewhere
would need rights and a life of its own.
"""

import re
from dataclasses import dataclass

from scripts.ecs.autoscaling import Autoscaling, Bounds
from scripts.ecs.services import Service

TAG = "moorage:asleep"
FORM = re.compile(r"count=(\d+)(?: min=(\d+) max=(\d+))?")
NOTHING = Bounds(0, 0)


@dataclass(frozen=True)
class Memory:
    """`bounds` is None for a service without an autoscaler."""

    count: int
    bounds: Bounds | None

    def __str__(self) -> str:
        bounds = f" min={self.bounds.minimum} max={self.bounds.maximum}" if self.bounds else ""
        return f"count={self.count}{bounds}"


def recall(service: Service) -> Memory | None:
    """What its tag says; None where it was never put to sleep."""
    found = FORM.fullmatch(service.tags.get(TAG, ""))
    if not found:
        return None
    count, minimum, maximum = found.groups()
    return Memory(int(count), Bounds(int(minimum), int(maximum)) if minimum else None)


def is_asleep(service: Service, scaling: Autoscaling | None) -> bool:
    """Put to sleep, and not scaled by other means since."""
    rests = not service.desired and (scaling is None or scaling.bounds == NOTHING)
    return rests and recall(service) is not None


def to_remember(service: Service, scaling: Autoscaling | None) -> Memory:
    """What `moor wake` is to bring back.

    What is remembered already stays while anything of it sleeps: an interrupted `sleep` or `wake`
    has left the service half-way, and those halves are not to be remembered. A temporary scale
    ends: what would have come back after it does so.
    """
    known = recall(service)
    if known and (service.desired == 0 or (scaling and scaling.bounds == NOTHING)):
        return known
    if scaling is None:
        return Memory(service.desired, None)
    bounds = scaling.revert.bounds if scaling.revert else scaling.bounds
    return Memory(bounds.clamp(service.desired), bounds)
