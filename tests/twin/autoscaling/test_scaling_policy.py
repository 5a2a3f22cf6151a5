"""The arithmetic of scaling, by value."""

import math

import pytest

from scripts.twin.autoscaling.scaling_policy import (
    Cooldowns,
    Past,
    Wish,
    base_of,
    by_steps,
    by_target,
    choose,
)
from scripts.twin.cloudwatch.alarm_states import ALARM, INSUFFICIENT, OK, judge
from scripts.twin.cloudwatch.expression import UnknownExpressionError, Value, evaluate
from scripts.twin.cloudwatch.series import statistic_of

OLD_JOBS = {
    "AdjustmentType": "ChangeInCapacity",
    "StepAdjustments": [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 60, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 60, "ScalingAdjustment": 3},
    ],
}


@pytest.mark.parametrize(
    ("expression", "values", "expected"),
    [
        ("IF(alive < 1, backlog, 0)", {"alive": [0, 2], "backlog": [7, 7]}, [7, 0]),
        ("IF(alive < 1, backlog, 0)", {"alive": [None, 0], "backlog": [7, None]}, [None, 0]),
        ("IF(a, 5, b)", {"a": [1, 1, 0, 0, None], "b": [0, 0, 20, None, 20]},
         [5, 5, 20, None, None]),
        ("IF(a, b, 5)", {"a": [1, 1, 0, 0, None], "b": [30, None, 0, 0, 20]},
         [30, 0, 5, 5, None]),
        ("desired - running", {"desired": [4, 4, None], "running": [1, None, None]}, [3, 4, None]),
        ("a < b", {"a": [1, None, None], "b": [None, 1, None]}, [0, 1, None]),
        ("IF(a + b >= 10, 100 * a / (a + b), 0)", {"a": [3, 0], "b": [9, 0]}, [25, 0]),
        ("a / b", {"a": [1, 1], "b": [0, None]}, [None, None]),
        ("FILL(a, 5) * 2", {"a": [None, 1]}, [10, 2]),
        ("FILL(a, 5)", {"a": [None, None]}, [None, None]),
        ("FILL(a, b)", {"a": [None, 1], "b": [3, 4]}, [3, 1]),
        ("FILL(a, REPEAT)", {"a": [None, 1, None, 3, None]}, [None, 1, 1, 3, 3]),
        ("FILL(a, REPEAT) - a", {"a": [None, 2, None, 3, None]}, [None, 0, 2, 0, 3]),
        ("SUM([a, b])", {"a": [1, None], "b": [None, None]}, [1, None]),
        ("MAX([a, b]) - MIN([a, b])", {"a": [1], "b": [5]}, [4]),
        ("-CEIL(a)", {"a": [1.2]}, [-2]),
    ],
)  # fmt: skip
def test_expression_has_the_values_that_cloudwatch_gives_it(
    expression: str, values: dict[str, list[Value]], expected: list[Value]
) -> None:
    assert evaluate(expression, values) == expected


@pytest.mark.parametrize(
    "expression",
    ["ANOMALY_DETECTION_BAND(a, 2)", "a AND b", "nobody", "SEARCH('x', 'Sum')", "a.b", "a[0]",
     "__import__('os')", "SUM(METRICS())", "FILL(a, LINEAR)"],
)  # fmt: skip
def test_unknown_expression_is_named(expression: str) -> None:
    with pytest.raises(UnknownExpressionError, match="cannot evaluate"):
        evaluate(expression, {"a": [1.0], "b": [2.0]})


# The tables of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html:
# 0 is within, X over the threshold, - is missing. The states are those where what is missing is
# missing, ignored (None: it stays), breaching, not breaching; three periods, five in the range.
THREE_OF_THREE = {
    "0-X-X": (OK, OK, OK, OK),
    "0----": (OK, OK, OK, OK),
    "-----": (INSUFFICIENT, None, ALARM, OK),
    "0XX-X": (ALARM, ALARM, ALARM, ALARM),
    "--X--": (ALARM, None, ALARM, OK),
    "----X": (INSUFFICIENT, None, ALARM, OK),
    "---X-": (INSUFFICIENT, None, ALARM, OK),
    "X----": (ALARM, None, ALARM, OK),
}
TWO_OF_THREE = {
    "0-X-X": (ALARM, ALARM, ALARM, ALARM),
    "00X0X": (ALARM, ALARM, ALARM, ALARM),
    "0-X--": (OK, OK, ALARM, OK),
    "----0": (OK, OK, ALARM, OK),
    "---X-": (ALARM, None, ALARM, OK),
    "----X": (INSUFFICIENT, None, ALARM, OK),
}
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


@pytest.mark.parametrize(
    ("points", "to_alarm", "missing", "state"),
    [
        (points, to_alarm, missing, state)
        for to_alarm, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
        for points, states in table.items()
        for missing, state in zip(TREATMENTS, states, strict=True)
    ],
)
def test_alarm_takes_what_is_missing_as_cloudwatch_does(
    points: str, to_alarm: int, missing: str, state: str | None
) -> None:
    values: dict[str, Value] = {"0": 0.0, "X": 9.0, "-": None}
    verdict = judge(
        [values[each] for each in points], comparison="GreaterThanThreshold", threshold=5,
        periods=3, to_alarm=to_alarm, missing=missing,
    )  # fmt: skip
    assert (verdict and verdict.state) == state


def test_some_periods_of_several_are_enough_where_the_alarm_says_so() -> None:
    verdict = judge(
        [9, 1, 9, 1, 9], comparison="GreaterThanOrEqualToThreshold", threshold=9, periods=5,
        to_alarm=3, missing="notBreaching",
    )  # fmt: skip
    assert verdict is not None
    assert (verdict.state, verdict.value) == (ALARM, 9)
    assert "3 out of the last 5 datapoints [9, 1, 9, 1, 9]" in verdict.reason
    assert "greater than or equal to the threshold (9)" in verdict.reason


@pytest.mark.parametrize(("excess", "expected"), [(0, 3), (59.9, 3), (60, 5), (1000, 5), (-1, 2)])
def test_steps_add_as_many_as_their_interval_says(excess: float, expected: int) -> None:
    assert by_steps(OLD_JOBS, excess, 2) == expected


@pytest.mark.parametrize(
    ("kind", "adjustment", "least", "current", "expected"),
    [
        ("ExactCapacity", 1, 0, 0, 1),
        ("ChangeInCapacity", -5, 0, 3, 0),
        ("PercentChangeInCapacity", 50, 0, 5, 7),
        ("PercentChangeInCapacity", 10, 0, 4, 5),  # 0.4 is rounded away from zero
        ("PercentChangeInCapacity", 10, 3, 10, 13),
        ("PercentChangeInCapacity", -50, 0, 5, 3),
    ],
)
def test_adjustment_is_counted_by_its_kind(
    kind: str, adjustment: int, least: int, current: int, expected: int
) -> None:
    step = {"MetricIntervalLowerBound": 0, "ScalingAdjustment": adjustment}
    config = {"AdjustmentType": kind, "MinAdjustmentMagnitude": least, "StepAdjustments": [step]}
    assert by_steps(config, 1, current) == expected


@pytest.mark.parametrize(
    ("value", "current", "expected"), [(25, 1, 3), (10, 2, 2), (3, 4, 2), (0, 4, 0)]
)
def test_tracking_asks_for_what_brings_the_metric_to_its_target(
    value: float, current: int, expected: int
) -> None:
    assert by_target({"TargetValue": 10}, value, current) == expected


def test_cool_down_counts_what_was_added_last() -> None:
    rests = Cooldowns.of("StepScaling", {"Cooldown": 60}, minute=5)
    assert rests == Cooldowns(5, 5)
    past = Past(out_at=100, out_from=2)
    assert by_steps(OLD_JOBS, 0, base_of(past, rests, 3, 104)) == 3, "the same step adds nothing"
    assert by_steps(OLD_JOBS, 60, base_of(past, rests, 3, 104)) == 5, "a larger one adds the rest"
    assert by_steps(OLD_JOBS, 0, base_of(past, rests, 3, 105)) == 4
    default = Cooldowns.of("TargetTrackingScaling", {"ScaleOutCooldown": 60}, minute=60)
    assert default == Cooldowns(60, 300)


def wish(count: int) -> Wish:
    return Wish(count, "policy", "alarm", 1)


@pytest.mark.parametrize(
    ("outs", "ins", "expected"),
    [
        ([3, 4], [1], 4),
        ([9], [], 5),
        ([], [1, 3], 3),
        ([], [0], 1),
        ([], [], None),
    ],
)
def test_largest_wish_within_the_bounds_wins(
    outs: list[int], ins: list[int], expected: int | None
) -> None:
    chosen = choose(
        current=4 if not outs else 2, lowest=1, highest=5,
        outs=[wish(n) for n in outs], ins=[wish(n) for n in ins],
    )  # fmt: skip
    assert (chosen and chosen[0]) == expected


def test_count_outside_the_bounds_is_not_made_worse() -> None:
    assert choose(current=7, lowest=1, highest=5, outs=[wish(9)], ins=[]) is None
    assert choose(current=0, lowest=1, highest=5, outs=[], ins=[wish(0)]) is None
    back = choose(current=7, lowest=1, highest=5, outs=[], ins=[wish(6)])
    assert back is not None
    assert back[0] == 5


def test_statistics_are_those_of_cloudwatch() -> None:
    values = [float(n) for n in range(1, 101)]
    shown = {
        name: statistic_of(values, name) for name in ("Sum", "Average", "Minimum", "Maximum", "p99")
    }
    assert shown == {"Sum": 5050, "Average": 50.5, "Minimum": 1, "Maximum": 100, "p99": 100}
    assert math.isclose(statistic_of(values, "SampleCount"), 100)
    with pytest.raises(UnknownExpressionError):
        statistic_of(values, "IQM")
