"""A stage's own alarms in moto's CloudWatch, and what AWS writes there minute by minute."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from scripts.twin.backends import Backends
from scripts.twin.client.state import MINUTE_SECONDS
from scripts.twin.cloudwatch import alarm_states
from scripts.twin.cloudwatch.metric_data import Point, put
from scripts.twin.cloudwatch.series import Series
from service.contract import METRIC_NAMESPACE, QUEUE_NAME, Metric, MetricDimension, ProcessName
from tests.stacks.templates import Templates
from tests.twin.stand import client, cloud

API, WORKER = ProcessName.API, ProcessName.WORKER
LATE_MINUTES = 2  # that CloudWatch has most metrics after their minute
ALARM, SCALING = "AWS::CloudWatch::Alarm", "WorkerScaling"


@dataclass(frozen=True)
class Minute:
    """What is so in one minute; of the counts the first is wanted, the second runs."""

    api: tuple[int, int] = (1, 1)
    worker: tuple[int, int] = (1, 1)
    jobs: Mapping[Metric, float] = field(default_factory=dict)
    errors: Mapping[int, int] = field(default_factory=dict)  # of the balancer, by status
    firewall: Mapping[str, float] = field(default_factory=dict)
    database: Mapping[str, float] = field(default_factory=dict)
    has_reader: bool = True


class Watched:
    """`tells` is what has reached the alarm topic so far: state and section of the runbook."""

    def __init__(self, backends: Backends, templates: Templates) -> None:
        self.backends, self.stage = backends, templates.stage
        self.now = time.time() // MINUTE_SECONDS * MINUTE_SECONDS
        self._late: list[tuple[float, str, list[Point]]] = []
        sns, sqs = client("sns"), client("sqs")
        self.topic: str = sns.create_topic(Name="alarms")["TopicArn"]
        self._queue = sqs.create_queue(QueueName="told")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        sns.subscribe(
            TopicArn=self.topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )  # fmt: skip
        alarm_states.apply()
        for each in templates.all(ALARM):
            if not each.id.startswith(SCALING):
                self._make(each.id, each.properties)

    def _make(self, id: str, properties: dict[str, Any]) -> None:
        given = {key: value for key, value in properties.items() if key != "Tags"}
        given |= {"AlarmActions": [self.topic], "OKActions": [self.topic], "AlarmName": id}
        client("cloudwatch").put_metric_alarm(**_resolved(given))

    def run(self, minutes: int, **given: Any) -> list[str]:
        """So many such minutes; the sections of the alarms that have rung in them."""
        return [section for state, section in self.told(minutes, **given) if state == "ALARM"]

    def told(self, minutes: int, **given: Any) -> list[tuple[str, str]]:
        """Every message of them."""
        for _ in range(minutes):
            for namespace, points in self._points(Minute(**given)):
                self._late.append((self.now, namespace, points))
            self.now += MINUTE_SECONDS
            self._look()
        return self._messages()

    def silent(self, minutes: int) -> list[str]:
        """So many in which nothing is there to be measured."""
        for _ in range(minutes):
            self.now += MINUTE_SECONDS
            self._look()
        return [section for state, section in self._messages() if state == "ALARM"]

    def _look(self) -> None:
        known = self.now - LATE_MINUTES * MINUTE_SECONDS
        while self._late and self._late[0][0] < known:
            at, namespace, points = self._late.pop(0)
            when = datetime.fromtimestamp(at + 1, UTC).replace(tzinfo=None)
            put(self.backends.cloudwatch, namespace, points, at=when)
        cloudwatch = self.backends.cloudwatch
        since = self.now - alarm_states.span_seconds(list(cloudwatch.alarms.values()))
        alarm_states.update(cloudwatch, Series(cloudwatch, since), self.now + 0.1)

    def _messages(self) -> list[tuple[str, str]]:
        sqs, found = client("sqs"), []
        while got := sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for each in got:
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
                told = json.loads(each["Body"])
                found.append((told["NewStateValue"], told["AlarmDescription"].rpartition("#")[2]))
        return found

    def state(self, section: str) -> str:
        (found,) = (
            each["StateValue"]
            for each in client("cloudwatch").describe_alarms()["MetricAlarms"]
            if each["AlarmDescription"].endswith(f"#{section}")
        )
        return str(found)

    def _points(self, minute: Minute) -> Iterator[tuple[str, list[Point]]]:
        names = self.stage.names
        for process, (wanted, running) in ((API, minute.api), (WORKER, minute.worker)):
            if running:  # Container Insights knows of no service without one
                where = {"ClusterName": names.cluster, "ServiceName": names.service(process)}
                counts: list[Point] = [
                    ("DesiredTaskCount", where, wanted), ("RunningTaskCount", where, running),
                ]  # fmt: skip
                yield "ECS/ContainerInsights", counts
        if minute.api[1] or minute.worker[1]:
            queue = {
                MetricDimension.APP: names.app,
                MetricDimension.STAGE: names.stage,
                MetricDimension.QUEUE: QUEUE_NAME,
            }
            said = {
                Metric.BACKLOG: 0.0,
                Metric.OLDEST_JOB_AGE_SECONDS: 0.0,
                Metric.WORKERS_ALIVE: float(minute.worker[1]),
            } | dict(minute.jobs)
            yield METRIC_NAMESPACE, [(name, queue, value) for name, value in said.items()]
        if minute.errors:
            door = {"LoadBalancer": "DoorBalancer"}
            each_code: list[Point] = [
                (f"HTTPCode_ELB_{code}_Count", door, n) for code, n in minute.errors.items()
            ]
            together: Point = ("HTTPCode_ELB_5XX_Count", door, sum(minute.errors.values()))
            yield "AWS/ApplicationELB", [together, *each_code]
        if minute.firewall:
            where = {"WebACL": names.prefix, "Region": "AWS::Region", "Rule": "ALL"}
            yield "AWS/WAFV2", [(name, where, n) for name, n in minute.firewall.items()]
        if self.stage.database_min_acu or minute.api[1] or minute.worker[1]:  # else it pauses
            writer = {"DBClusterIdentifier": "DatabaseCluster", "Role": "WRITER"}
            reader = writer | {"Role": "READER"}
            shown = {"CPUUtilization": 5.0, "DatabaseConnections": 3.0} | dict(minute.database)
            points: list[Point] = [(name, writer, value) for name, value in shown.items()]
            if self.stage.database_reader and minute.has_reader:
                points.append(("CPUUtilization", reader, 2.0))
            yield "AWS/RDS", points


def _resolved(value: Any) -> Any:
    """With the logical id in the place of a reference, without its hash."""
    if isinstance(value, list):
        return [_resolved(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, argument),) = value.items()
        if key == "Ref":
            return argument if argument.startswith("AWS::") else argument[:-8]
        if key == "Fn::GetAtt":
            return argument[0][:-8]
        if key.startswith("Fn::"):
            return "DatabaseCluster"  # of another stack
    return {key: _resolved(each) for key, each in value.items()}


@contextmanager
def watched(templates: Templates) -> Iterator[Watched]:
    """The stage with its alarms just made, and nothing else yet."""
    with cloud() as backends:
        yield Watched(backends, templates)
