"""What `moor sleep` remembers of an ECS service: its count and bounds.

They are kept in a tag of the ECS service. `moor wake` finds them there from any machine, in the
answer that describes the ECS service, and they are deleted with it. A parameter elsewhere would
need rights of its own and could be left over.
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
    """The remembered count and bounds; `bounds` is None without an autoscaler."""

    count: int
    bounds: Bounds | None

    def __str__(self) -> str:
        bounds = f" min={self.bounds.minimum} max={self.bounds.maximum}" if self.bounds else ""
        return f"count={self.count}{bounds}"


def recall(service: Service) -> Memory | None:
    """What the tag of the ECS service says; None where it has none."""
    found = FORM.fullmatch(service.tags.get(TAG, ""))
    if not found:
        return None
    count, minimum, maximum = found.groups()
    return Memory(int(count), Bounds(int(minimum), int(maximum)) if minimum else None)


def is_asleep(service: Service, scaling: Autoscaling | None) -> bool:
    """Was it put to sleep, and not scaled by other means since?"""
    is_at_zero = not service.desired and (scaling is None or scaling.bounds == NOTHING)
    return is_at_zero and recall(service) is not None


def to_remember(service: Service, scaling: Autoscaling | None) -> Memory:
    """The count and bounds that `moor wake` has to restore.

    Where an interrupted `sleep` or `wake` has left a part at zero, the values of now are not the
    wanted ones, so what was remembered before stays. A temporary scale ends, so the bounds that it
    would restore are remembered.
    """
    before = recall(service)
    if before and (service.desired == 0 or (scaling and scaling.bounds == NOTHING)):
        return before
    if scaling is None:
        return Memory(service.desired, None)
    bounds = scaling.revert.bounds if scaling.revert else scaling.bounds
    return Memory(bounds.clamp(service.desired), bounds)
