"""The values of moto's metrics by period; a minute of the twin lasts five seconds."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricDatum

from scripts.twin.cloudwatch.expression import UnknownExpressionError, Value, evaluate

Key = tuple[str, str, frozenset[tuple[str, str]]]  # namespace, name, dimensions


class Series:
    """The data points from `since` (seconds since 1970) on, by metric, as they are now."""

    def __init__(self, cloudwatch: CloudWatchBackend, since: float) -> None:
        self._points: dict[Key, list[tuple[float, float]]] = defaultdict(list)
        for datum in reversed(cloudwatch.metric_data[:]):
            at = seconds(datum.timestamp)
            if at < since - 60:  # in order of arrival, so some are a little late
                break
            if isinstance(datum, MetricDatum):
                key = (datum.namespace, datum.name, _dimensions(datum.dimensions))
                self._points[key].append((at, datum.value))

    def of_alarm(self, alarm: Alarm, *, end: float, period: float, count: int) -> list[Value]:
        """The alarm's values in the `count` periods before `end`, the oldest first.

        Raises `UnknownExpressionError`.
        """
        if not alarm.metric_data_queries:
            key = (alarm.namespace, alarm.metric_name, _dimensions(alarm.dimensions))
            statistic = alarm.extended_statistic or alarm.statistic
            return self._values(key, statistic, end=end, period=period, count=count)
        known: dict[str, list[Value]] = {}
        for query in alarm.metric_data_queries:
            if query.metric_stat is not None:
                metric = query.metric_stat.metric
                key = (metric.namespace, metric.metric_name, _dimensions(metric.dimensions))
                statistic = query.metric_stat.stat
                values = self._values(key, statistic, end=end, period=period, count=count)
                known[query.id] = values
        expressions = [each for each in alarm.metric_data_queries if each.expression]
        if len(expressions) != 1:
            raise UnknownExpressionError(" and ".join(str(each.expression) for each in expressions))
        return evaluate(str(expressions[0].expression), known)

    def _values(
        self, key: Key, statistic: str, *, end: float, period: float, count: int
    ) -> list[Value]:
        found: list[list[float]] = [[] for _ in range(count)]
        for at, value in self._points.get(key, []):
            place = count - 1 - int((end - at) // period) if at < end else count
            if (end - at) % period == 0:  # a period includes its first moment, but not its last
                place += 1
            if 0 <= place < count:
                found[place].append(value)
        return [statistic_of(values, statistic) if values else None for values in found]


def statistic_of(values: Sequence[float], statistic: str) -> float:
    """A statistic of the values by CloudWatch's name, such as `Sum` or `p99`."""
    match statistic:
        case "Sum":
            return sum(values)
        case "Average":
            return sum(values) / len(values)
        case "Minimum":
            return min(values)
        case "Maximum":
            return max(values)
        case "SampleCount":
            return len(values)
    if statistic[:1] == "p" and statistic[1:].replace(".", "", 1).isdigit():
        ordered = sorted(values)
        return ordered[min(int(float(statistic[1:]) / 100 * len(ordered)), len(ordered) - 1)]
    raise UnknownExpressionError(statistic)


def seconds(at: datetime) -> float:
    """Seconds since 1970; moto's times are UTC, most of them without a time zone."""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _dimensions(given: Iterable[Any]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (each["Name"], each["Value"]) if isinstance(each, dict) else (each.name, each.value)
        for each in given
    )
