"""How every alarm is made, so that none lacks an action, a runbook or a word on missing data."""

import re
from enum import Enum

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.config import Stage


class Missing(Enum):
    """What it means when a metric says nothing."""

    IS_FINE = cloudwatch.TreatMissingData.NOT_BREACHING  # written only when something happens
    IS_TROUBLE = cloudwatch.TreatMissingData.BREACHING  # a heartbeat: silence is the trouble


class Alarms(Construct):
    """Alarms of one part of a stage; each tells the topic when it begins and when it is over."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, topic: sns.ITopic) -> None:
        super().__init__(scope, id)
        self.stage = stage
        self.action = actions.SnsAction(topic)
        self.alarms: list[cloudwatch.Alarm] = []

    def add(
        self,
        id: str,
        says: str,
        metric: cloudwatch.IMetric,
        *,
        above: float | None = None,
        below: float | None = None,
        minutes: int = 1,
        of: int | None = None,
        missing: Missing,
    ) -> cloudwatch.Alarm:
        """An alarm when `metric` was `above` or `below` for `minutes` out of `of` (or in a row)."""
        assert (above is None) != (below is None)
        comparison = cloudwatch.ComparisonOperator
        alarm = cloudwatch.Alarm(
            self,
            id,
            alarm_description=f"{says} {self.stage.runbook_url}#{section(id)}",
            metric=metric,
            threshold=above if above is not None else below,  # type: ignore[arg-type]
            comparison_operator=(
                comparison.GREATER_THAN_THRESHOLD
                if above is not None
                else comparison.LESS_THAN_THRESHOLD
            ),
            evaluation_periods=of or minutes,
            datapoints_to_alarm=minutes,
            treat_missing_data=missing.value,
        )
        alarm.add_alarm_action(self.action)
        alarm.add_ok_action(self.action)
        self.alarms.append(alarm)
        return alarm


def section(id: str) -> str:
    """The runbook's anchor for an alarm or event: `OldestJobAge` is `oldest-job-age`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", id).lower()
