"""The count that a scaling policy wants: Application Auto Scaling's arithmetic.

https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html
https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_COOLDOWN_SECONDS = 300.0  # for ECS
OUT_PERIODS, IN_PERIODS = 3, 15  # minutes, in the alarms that target tracking makes
IN_SHARE = 0.9  # of the target: it scales in only below this share


@dataclass(frozen=True)
class Cooldowns:
    """The cooldowns of a policy, in seconds."""

    out: float
    into: float

    @classmethod
    def of(cls, kind: str, config: Mapping[str, Any], *, minute: float) -> "Cooldowns":
        """The cooldowns of a policy, if a minute lasts `minute` seconds."""
        if kind == "StepScaling":
            out = into = config.get("Cooldown", DEFAULT_COOLDOWN_SECONDS)
        else:
            out = config.get("ScaleOutCooldown", DEFAULT_COOLDOWN_SECONDS)
            into = config.get("ScaleInCooldown", DEFAULT_COOLDOWN_SECONDS)
        return cls(float(out) * minute / 60, float(into) * minute / 60)


@dataclass(frozen=True)
class Past:
    """What a policy did last: when it scaled out and from how many, and when it scaled in."""

    out_at: float = -math.inf
    out_from: int = 0
    in_at: float = -math.inf


@dataclass(frozen=True)
class Wish:
    """The count that one policy wants, and the alarm that caused it."""

    count: int
    policy: str
    alarm: str
    counted_from: int


def by_steps(config: Mapping[str, Any], excess: float, current: int) -> int:
    """The count by step scaling; `current` where no step fits. `excess` is the metric minus the
    alarm's threshold."""
    for step in config["StepAdjustments"]:
        lower = float(step.get("MetricIntervalLowerBound", -math.inf))
        upper = float(step.get("MetricIntervalUpperBound", math.inf))
        # The bound nearer to the threshold belongs to the step.
        is_in = lower <= excess < upper if excess >= 0 else lower < excess <= upper
        if is_in:
            return _adjusted(config, int(step["ScalingAdjustment"]), current)
    return current


def by_target(config: Mapping[str, Any], value: float, current: int) -> int:
    """The count that brings the metric to its target, if the metric falls as the count grows."""
    return math.ceil(current * value / float(config["TargetValue"]))


def base_of(past: Past, cooldowns: Cooldowns, current: int, now: float) -> int:
    """The count that a scale-out starts from. During the cooldown it is the count before the last
    scale-out, so that ECS tasks that were just added are not added twice."""
    return min(past.out_from, current) if now < past.out_at + cooldowns.out else current


def choose(
    *,
    current: int,
    lowest: int,
    highest: int,
    outs: Sequence[Wish],
    ins: Sequence[Wish],
) -> tuple[int, Wish] | None:
    """The count to set and the wish behind it: the largest. Wishes to scale in count only where
    there is none to scale out. None where nothing changes."""
    for wishes, is_better in ((outs, int.__gt__), (ins, int.__lt__)):
        if wishes:
            wish = max(wishes, key=lambda each: each.count)
            count = min(max(wish.count, lowest), highest)
            return (count, wish) if is_better(count, current) else None
    return None


def _adjusted(config: Mapping[str, Any], adjustment: int, current: int) -> int:
    match config["AdjustmentType"]:
        case "ExactCapacity":
            return adjustment
        case "ChangeInCapacity":
            return max(current + adjustment, 0)
    change = current * adjustment / 100  # PercentChangeInCapacity
    # AWS rounds a change of less than one away from zero, and a larger one towards zero.
    whole = math.copysign(1, change) if 0 < abs(change) < 1 else math.trunc(change)
    least = int(config.get("MinAdjustmentMagnitude", 0))
    if abs(whole) < least:
        whole = math.copysign(least, adjustment)
    return max(current + int(whole), 0)
