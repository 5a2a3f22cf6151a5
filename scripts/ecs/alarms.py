"""The alarms of a stage that tell people, and whether they do: CloudWatch's alarm actions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.aws import Aws
from scripts.ecs.autoscaling import configured
from service.contract import ProcessName
from stacks.config.naming import Output, runbook_section
from stacks.config.stage import Stage

# The most that one call takes.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DisableAlarmActions.html
ALARMS_PER_CALL = 100
KINDS = ("MetricAlarm", "CompositeAlarm")
RINGS = "ALARM"


@dataclass(frozen=True)
class Alarm:
    """One that publishes to the stage's topic; `section` is its part of the runbook."""

    name: str
    section: str
    state: str
    tells: bool  # are its actions on?


def read_alarms(found: Iterable[dict[str, Any]], topic: str) -> list[Alarm]:
    """Out of `describe_alarms`: those whose action is this topic."""
    return [
        Alarm(
            name=each["AlarmName"],
            section=each.get("AlarmDescription", "").rpartition("#")[2],
            state=each["StateValue"],
            tells=each["ActionsEnabled"],
        )
        for each in found
        if topic in each["AlarmActions"]  # AWS looks for what begins so
    ]


def find_alarms(aws: Aws, topic: str | None = None) -> list[Alarm]:
    """All of the stage, an own one of the project's among them; not those that scale.

    `topic`: the ARN of the stage's, where it is known. Empty for a stage without one.
    """
    topic = topic or aws.outputs.get(Output.ALARM_TOPIC)
    if not topic:
        return []
    found = [
        alarm
        for kind in KINDS
        for alarm in aws.pages(
            "cloudwatch", "describe_alarms", f"{kind}s", ActionPrefix=topic, AlarmTypes=[kind]
        )
    ]
    return read_alarms(found, topic)


def switch(aws: Aws, alarms: Iterable[Alarm], *, on: bool) -> int:
    """Let them tell people, or not; how many were changed."""
    names = [alarm.name for alarm in alarms if alarm.tells is not on]
    operation = "enable_alarm_actions" if on else "disable_alarm_actions"
    for start in range(0, len(names), ALARMS_PER_CALL):
        part = names[start : start + ALARMS_PER_CALL]
        aws.call("cloudwatch", operation, AlarmNames=part)
    return len(names)


def sections_at_rest(stage: Stage, least: Mapping[ProcessName, int]) -> set[str]:
    """The alarms, by section, that would take it for trouble that no more than `least` must run.

    Only where stages.toml says that one must: elsewhere the alarms know of zero.
    """
    at_rest = {
        process for process in least if not least[process] and configured(stage, process).minimum
    }
    found = {f"{process.capitalize()}TasksMissing" for process in at_rest}
    if ProcessName.API in at_rest:
        found.add("NoTarget")
    if at_rest and not any(least.values()):
        found.add("NoMetrics")
    return {runbook_section(id) for id in found}
