"""How many ECS tasks a scaling policy asks for: Application Auto Scaling's arithmetic.

https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html
https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_COOLDOWN_SECONDS = 300.0  # for ECS
OUT_PERIODS, IN_PERIODS = 3, 15  # of a minute, in the alarms that target tracking makes
IN_SHARE = 0.9  # of the target: only below that is there too much


@dataclass(frozen=True)
class Cooldowns:
    """In seconds."""

    out: float
    into: float

    @classmethod
    def of(cls, kind: str, config: Mapping[str, Any], *, minute: float) -> "Cooldowns":
        """Those of a policy where a minute lasts `minute` seconds."""
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
    """What one policy asks for, and the alarm that made it ask."""

    count: int
    policy: str
    alarm: str
    counted_from: int


def by_steps(config: Mapping[str, Any], excess: float, current: int) -> int:
    """`excess`: the metric less the alarm's threshold. `current` where no step has it."""
    for step in config["StepAdjustments"]:
        lower = float(step.get("MetricIntervalLowerBound", -math.inf))
        upper = float(step.get("MetricIntervalUpperBound", math.inf))
        # The bound nearer to the threshold belongs to the step.
        is_in = lower <= excess < upper if excess >= 0 else lower < excess <= upper
        if is_in:
            return _adjusted(config, int(step["ScalingAdjustment"]), current)
    return current


def by_target(config: Mapping[str, Any], value: float, current: int) -> int:
    """As many as bring the metric to its target, if it goes with their number."""
    return math.ceil(current * value / float(config["TargetValue"]))


def base_of(past: Past, cooldowns: Cooldowns, current: int, now: float) -> int:
    """What a scale-out counts from: in the cool-down what was added last is part of the wish."""
    return min(past.out_from, current) if now < past.out_at + cooldowns.out else current


def choose(
    *,
    current: int,
    lowest: int,
    highest: int,
    outs: Sequence[Wish],
    ins: Sequence[Wish],
) -> tuple[int, Wish] | None:
    """The count to set and whose wish it is: the largest, and in only where nobody wants out."""
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
    # Away from zero below one, towards zero above.
    whole = math.copysign(1, change) if 0 < abs(change) < 1 else math.trunc(change)
    least = int(config.get("MinAdjustmentMagnitude", 0))
    if abs(whole) < least:
        whole = math.copysign(least, adjustment)
    return max(current + int(whole), 0)
