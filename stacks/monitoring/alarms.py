"""The base of all alarms: each has an action, a runbook section and a rule for missing data."""

from enum import Enum

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.config.naming import runbook_section
from stacks.config.processes import EcsProcess
from stacks.config.stage import Stage
from stacks.monitoring.metrics import AVERAGE, aws_metric, shortfall, silence

# How many minutes out of how many. CloudWatch gets most metrics two or three minutes late, and
# until then a metric looks like that of a process that has ended.
SILENT = (8, 10)
# A growing ECS service waits minutes for each new ECS task.
SHORT = (12, 15)


class Missing(Enum):
    """What a missing value of a metric means."""

    IS_FINE = cloudwatch.TreatMissingData.NOT_BREACHING  # written only when something happens
    # For `shortfall` and `silence`, whose values report missing values of others. They have none
    # themselves before the first value, in a new stage, and long after the last one, when the alarm
    # must stay on. As "breaching", the alarms of every new stage would ring.
    CHANGES_NOTHING = cloudwatch.TreatMissingData.IGNORE


class Alarms(Construct):
    """The alarms of one part of a stage; each publishes to the topic when it begins and ends.

    `of` is whom their descriptions name, where the stage has several such parts.
    """

    def __init__(
        self, scope: Construct, id: str, *, stage: Stage, topic: sns.ITopic, of: str = ""
    ) -> None:
        super().__init__(scope, id)
        self._of = f"{of}: " if of else ""
        self.stage = stage
        self.action = actions.SnsAction(topic)
        self.alarms: list[cloudwatch.Alarm] = []

    def add(
        self,
        id: str,
        description: str,
        metric: cloudwatch.IMetric,
        *,
        above: float,
        minutes: int = 1,
        of: int | None = None,
        missing: Missing,
    ) -> cloudwatch.Alarm:
        """Add an alarm for `metric` above a value, for `minutes` out of `of`, or in a row."""
        alarm = cloudwatch.Alarm(
            self,
            id,
            alarm_description=f"{self._of}{description} "
            f"{self.stage.runbook_url}#{runbook_section(id)}",
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

    def add_heartbeat(self, id: str, description: str, metric: cloudwatch.Metric) -> None:
        """Add an alarm for a `metric` that was written before and is not any more."""
        minutes, of = SILENT
        self.add(
            id,
            description,
            silence(metric),
            above=0,
            minutes=minutes,
            of=of,
            missing=Missing.CHANGES_NOTHING,
        )

    def add_shortfall(
        self,
        id: str,
        description: str,
        *,
        wanted: cloudwatch.IMetric,
        running: cloudwatch.IMetric,
        must_run: bool,
    ) -> None:
        """Add an alarm for `running` below `wanted`. With `must_run` it also rings when both are
        missing: nothing writes them for an ECS service without ECS tasks."""
        minutes, of = SHORT
        self.add(
            id,
            description,
            shortfall(wanted, running, must_run=must_run),
            above=0,
            minutes=minutes,
            of=of,
            missing=Missing.CHANGES_NOTHING if must_run else Missing.IS_FINE,
        )

    def watch_count(self, process: EcsProcess) -> None:
        """Add an alarm for missing ECS tasks of a process."""
        names = self.stage.names

        def count(name: str) -> cloudwatch.Metric:
            return aws_metric(
                "ECS/ContainerInsights",
                name,
                AVERAGE,
                {"ClusterName": names.cluster, "ServiceName": names.service(process.name)},
            )

        self.add_shortfall(
            f"{process.process.capitalize()}TasksMissing",
            f"Fewer ECS tasks of {names.service(process.name)} run than are wanted.",
            wanted=count("DesiredTaskCount"),
            running=count("RunningTaskCount"),
            must_run=process.min_count > 0,
        )
