"""The alarms of a stage that notify people, and switching their CloudWatch actions on and off."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.aws import Aws
from scripts.ecs.autoscaling import configured
from scripts.processes import API, container_of, pool_of
from stacks.config.naming import Output, runbook_section
from stacks.config.stage import Stage

# The most that one call takes.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DisableAlarmActions.html
ALARMS_PER_CALL = 100
KINDS = ("MetricAlarm", "CompositeAlarm")
RINGS = "ALARM"
OF_POOL = re.compile(r"worker-[a-z0-9-]+: ")


@dataclass(frozen=True)
class Alarm:
    """An alarm that publishes to the stage's topic; `section` is its section in the runbook, of a
    worker pool's alarm `worker-reports: oldest-job-age`."""

    name: str
    section: str
    state: str
    tells: bool  # whether its actions are on


def read_alarms(found: Iterable[dict[str, Any]], topic: str) -> list[Alarm]:
    """The alarms of `describe_alarms` whose action is this topic."""
    return [
        Alarm(
            name=each["AlarmName"],
            section=_section(each.get("AlarmDescription", "")),
            state=each["StateValue"],
            tells=each["ActionsEnabled"],
        )
        for each in found
        if topic in each["AlarmActions"]  # the call finds every action that begins with the topic
    ]


def _section(description: str) -> str:
    """From a description such as `worker-reports: Jobs wait. docs/runbook.md#no-worker`."""
    of = OF_POOL.match(description)
    return f"{of[0] if of else ''}{description.rpartition('#')[2]}"


def find_alarms(aws: Aws, topic: str | None = None) -> list[Alarm]:
    """The alarms of the stage, the project's own ones too, but not those of the autoscaler.

    `topic` is the ARN of the stage's topic where the caller has it. A stage without one has no
    alarms.
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
    """Switch the actions of these alarms on or off; returns how many were changed."""
    names = [alarm.name for alarm in alarms if alarm.tells is not on]
    operation = "enable_alarm_actions" if on else "disable_alarm_actions"
    for start in range(0, len(names), ALARMS_PER_CALL):
        part = names[start : start + ALARMS_PER_CALL]
        aws.call("cloudwatch", operation, AlarmNames=part)
    return len(names)


def sections_at_rest(stage: Stage, least: Mapping[str, int]) -> set[str]:
    """The alarms, by section, that would ring although only `least` ECS tasks have to run.

    These are alarms that expect one, because stages.toml has a minimum above zero.
    """
    at_rest = {
        process
        for process in least
        if not least[process] and (bounds := configured(stage, process)) and bounds.minimum
    }
    found = set()
    for process in at_rest:
        section = runbook_section(f"{container_of(process).capitalize()}TasksMissing")
        found.add(f"{process}: {section}" if pool_of(process) else section)
    if API in at_rest:
        found.add(runbook_section("NoTarget"))
    if at_rest and not any(least.values()):
        found.add(runbook_section("NoMetrics"))
    return found
