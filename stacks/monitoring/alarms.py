"""How every alarm is made, so that none lacks an action, a runbook or a word on missing data."""

from enum import Enum

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.config.naming import runbook_section
from stacks.config.stage import Stage
from stacks.monitoring.metrics import shortfall, silence

# Minutes out of how many. CloudWatch has the last two or three minutes of most metrics late, and
# until then they are as silent as those of a process that has ended.
SILENT = (8, 10)
# A fleet that grows waits minutes for one ECS task, and wants the next one then.
SHORT = (12, 15)


class Missing(Enum):
    """What it means when a metric says nothing."""

    IS_FINE = cloudwatch.TreatMissingData.NOT_BREACHING  # written only when something happens
    # Of `shortfall` and `silence`, whose value tells of silence: they have none before the first
    # word, when a stage has just been made, and none long after the last one, when the alarm is to
    # go on. Treated as breaching, the first minutes of every stage would ring.
    CHANGES_NOTHING = cloudwatch.TreatMissingData.IGNORE


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
        above: float,
        minutes: int = 1,
        of: int | None = None,
        missing: Missing,
    ) -> cloudwatch.Alarm:
        """An alarm when `metric` was `above` that for `minutes` out of `of` (or in a row)."""
        alarm = cloudwatch.Alarm(
            self,
            id,
            alarm_description=f"{says} {self.stage.runbook_url}#{runbook_section(id)}",
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=of or minutes,
            datapoints_to_alarm=minutes,
            treat_missing_data=missing.value,
        )
        alarm.add_alarm_action(self.action)
        alarm.add_ok_action(self.action)
        self.alarms.append(alarm)
        return alarm

    def add_heartbeat(self, id: str, says: str, metric: cloudwatch.Metric) -> None:
        """An alarm when `metric` was written and is no more, for what must always run."""
        minutes, of = SILENT
        self.add(
            id,
            says,
            silence(metric),
            above=0,
            minutes=minutes,
            of=of,
            missing=Missing.CHANGES_NOTHING,
        )

    def add_shortfall(
        self,
        id: str,
        says: str,
        *,
        wanted: cloudwatch.IMetric,
        there: cloudwatch.IMetric,
        must_run: bool,
    ) -> None:
        """An alarm when `there` is below `wanted`, and where one `must_run` when both are silent:
        nobody writes them for an ECS service without ECS tasks."""
        minutes, of = SHORT
        self.add(
            id,
            says,
            shortfall(wanted, there, must_run=must_run),
            above=0,
            minutes=minutes,
            of=of,
            missing=Missing.CHANGES_NOTHING if must_run else Missing.IS_FINE,
        )
