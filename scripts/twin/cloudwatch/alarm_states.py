"""The states of CloudWatch alarms, from the data points of their last periods.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend

from scripts.twin.client.state import MINUTE_SECONDS
from scripts.twin.cloudwatch import alarm_actions
from scripts.twin.cloudwatch.expression import UnknownExpressionError, Value
from scripts.twin.cloudwatch.series import Series

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"
# CloudWatch reads some earlier periods too, where the last periods lack data points.
FURTHER_PERIODS = 2
HISTORY_MAX = 100  # moto keeps every change of state for ever

_put = CloudWatchBackend.put_metric_alarm

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True)
class Verdict:
    """The state that an alarm should have, the reason, and the newest value."""

    state: str
    reason: str
    value: Value = None


def apply() -> None:
    """Patch moto's new alarms to have the state that AWS's have; a second time changes nothing."""
    CloudWatchBackend.put_metric_alarm = _put_again  # type: ignore[assignment,method-assign]


def _put_again(self: CloudWatchBackend, **given: Any) -> Alarm:
    """A new alarm has insufficient data; an alarm that is put again keeps its state."""
    before = self.alarms.get(given["name"])
    alarm = _put(self, **given)
    alarm.state_value = INSUFFICIENT
    if before is not None:
        for name in ("value", "reason", "reason_data", "updated_timestamp"):
            setattr(alarm, f"state_{name}", getattr(before, f"state_{name}"))
        alarm.history = before.history
    return alarm


def judge(
    values: Sequence[Value],
    *,
    comparison: str,
    threshold: float,
    periods: int,
    to_alarm: int,
    missing: str,
) -> Verdict | None:
    """The verdict on `values` of the evaluation range, oldest first; None to keep the state.

    Missing values count only where there are fewer values than periods.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    breaches, words = COMPARISONS[comparison]
    real = [value for value in values if value is not None][-periods:]
    gaps = periods - len(real)
    over = [value for value in real if breaches(value, threshold)]
    counted = len(over) + (gaps if missing == "breaching" else 0)
    if gaps and len(over) == len(real) and counted < to_alarm and missing != "notBreaching":
        # No value is good, so an alarm whose values have been bad for long enough rings anyway.
        if missing == "ignore":
            return None
        age = next((len(values) - n for n, each in enumerate(values) if each is not None), 0)
        if age < to_alarm:
            return Verdict(INSUFFICIENT, f"Insufficient Data: {gaps} datapoints were unknown.")
        counted = to_alarm
    newest = real[-1] if real else None
    if not real:
        reason = f"no datapoints were received for {periods} periods and missing is {missing}"
    else:
        shown = ", ".join(f"{value:g}" for value in real)
        count = f"{len(over)} out of the last {len(real)} datapoints"
        verb = "was" if len(over) == 1 else "were"
        reason = f"{count} [{shown}] {verb} {words} the threshold ({threshold:g})"
    state = ALARM if counted >= to_alarm else OK
    return Verdict(state, f"Threshold Crossed: {reason}.", newest)


def update(cloudwatch: CloudWatchBackend, series: Series, now: float) -> dict[str, Verdict]:
    """Update the state of every alarm; returns the verdicts by the alarm's name."""
    found: dict[str, Verdict] = {}
    for alarm in list(cloudwatch.alarms.values()):
        if alarm.rule:  # a composite alarm
            continue
        verdict = _verdict(alarm, series, now)
        if verdict is None:
            continue
        found[alarm.name] = verdict
        before = alarm.state_value
        if before != verdict.state or _is_unchecked(alarm):
            alarm.update_state(verdict.reason, "{}", verdict.state)
            del alarm.history[:-HISTORY_MAX]
        if before != verdict.state:
            alarm_actions.send(alarm, before)
    return found


def period_of(alarm: Alarm) -> float:
    """The alarm's period in seconds, with the twin's short minutes."""
    stated = [alarm.period] + [
        each.metric_stat.period if each.metric_stat else each.period
        for each in alarm.metric_data_queries
    ]
    return next(int(each) for each in stated if each) * MINUTE_SECONDS / 60


def span_seconds(alarms: Sequence[Alarm]) -> float:
    """How far back these alarms read data points."""
    return max(
        (period_of(each) * (int(each.evaluation_periods) + FURTHER_PERIODS + 1)
         for each in alarms if not each.rule),
        default=0.0,
    )  # fmt: skip


def _verdict(alarm: Alarm, series: Series, now: float) -> Verdict | None:
    period, periods = period_of(alarm), int(alarm.evaluation_periods)
    if alarm.comparison_operator not in COMPARISONS:
        return Verdict(INSUFFICIENT, f"the local twin does not know {alarm.comparison_operator}")
    try:
        values = series.of_alarm(
            alarm, end=now // period * period, period=period, count=periods + FURTHER_PERIODS
        )
    except UnknownExpressionError as error:
        return Verdict(INSUFFICIENT, str(error))
    return judge(
        values,
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        periods=periods,
        to_alarm=int(alarm.datapoints_to_alarm or periods),
        missing=alarm.treat_missing_data or "missing",
    )


def _is_unchecked(alarm: Alarm) -> bool:
    return alarm.state_reason.startswith("Unchecked")
