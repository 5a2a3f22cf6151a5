"""ECS tasks and their containers: what runs, and why it stopped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts.aws import Answer, Aws
from scripts.ecs.services import Service

# The most that one call takes.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_GetTaskProtection.html
TASKS_PER_CALL = 100
RUNNING, STOPPED = "RUNNING", "STOPPED"
EXEC_AGENT = "ExecuteCommandAgent"


@dataclass(frozen=True)
class Container:
    """One container of an ECS task; `exit_code` is None until it has ended."""

    name: str
    status: str
    exit_code: int | None = None
    reason: str = ""
    runtime_id: str = ""
    exec_agent: str = ""  # the state of the agent of ECS exec; empty where there is none

    @property
    def why_ended(self) -> str:
        """The exit code and reason of a failure; empty where there was none."""
        code = f"exit code {self.exit_code}" if self.exit_code else ""
        return ", ".join(each for each in (code, self.reason) if each)


@dataclass(frozen=True)
class Task:
    """An ECS task; `group` is `service:<name>` for those of an ECS service."""

    id: str
    arn: str
    group: str
    started_by: str  # in an ECS service: the id of the deployment
    task_definition: str
    status: str  # the last known
    wanted: str  # the desired status: RUNNING or STOPPED
    started: datetime | None
    stop_code: str
    stop_reason: str
    stopped: datetime | None
    is_pulling: bool
    has_exec: bool
    containers: tuple[Container, ...]

    @property
    def service(self) -> str:
        """The name of its ECS service, if it has one."""
        return self.group.removeprefix("service:")

    @property
    def exit_codes(self) -> dict[str, int]:
        """The exit codes of the containers that have ended, by name."""
        return {c.name: c.exit_code for c in self.containers if c.exit_code is not None}

    @property
    def failed(self) -> Container | None:
        """The first container that failed."""
        return next((each for each in self.containers if each.why_ended), None)

    @property
    def why_stopped(self) -> str:
        """The reason that ECS gives, and which containers failed."""
        reason = self.stop_reason or "no reason is given"
        details = "; ".join(f"{c.name}: {c.why_ended}" for c in self.containers if c.why_ended)
        return f"{reason} ({details})" if details else reason

    @property
    def is_replaced(self) -> bool:
        """Did ECS stop it to scale in or to replace it?"""
        return self.stop_reason.startswith("Scaling activity initiated by")

    def container(self, name: str) -> Container | None:
        return next((each for each in self.containers if each.name == name), None)


def read_tasks(answer: Answer) -> list[Task]:
    """From an answer of `describe_tasks`."""
    return [_task(each) for each in answer["tasks"]]


def _task(given: dict[str, Any]) -> Task:
    return Task(
        id=given["taskArn"].rsplit("/", 1)[-1],
        arn=given["taskArn"],
        group=given.get("group", ""),
        started_by=given.get("startedBy", ""),
        task_definition=given["taskDefinitionArn"],
        status=given.get("lastStatus", ""),
        wanted=given.get("desiredStatus", ""),
        started=given.get("startedAt") or given.get("createdAt"),
        stop_code=given.get("stopCode", ""),
        stop_reason=given.get("stoppedReason", ""),
        stopped=given.get("stoppedAt"),
        is_pulling="pullStartedAt" in given and "pullStoppedAt" not in given,
        has_exec=given.get("enableExecuteCommand", False),
        containers=tuple(_container(each) for each in given.get("containers", [])),
    )


def _container(given: dict[str, Any]) -> Container:
    agents = {each["name"]: each["lastStatus"] for each in given.get("managedAgents", [])}
    return Container(
        name=given["name"],
        status=given.get("lastStatus", ""),
        exit_code=given.get("exitCode"),
        reason=given.get("reason", ""),
        runtime_id=given.get("runtimeId", ""),
        exec_agent=agents.get(EXEC_AGENT, ""),
    )


def find_tasks(aws: Aws, service: Service) -> list[Task]:
    """The ECS tasks of an ECS service that run or start."""
    arns = list(
        aws.pages(
            "ecs", "list_tasks", "taskArns", cluster=aws.names.cluster, serviceName=service.name
        )
    )
    return describe_tasks(aws, arns)


def find_stopped(aws: Aws) -> list[Task]:
    """The stopped ECS tasks of the stage; ECS remembers them for about an hour."""
    arns = list(
        aws.pages("ecs", "list_tasks", "taskArns", cluster=aws.names.cluster, desiredStatus=STOPPED)
    )
    return describe_tasks(aws, arns)


def describe_tasks(aws: Aws, arns: Sequence[str]) -> list[Task]:
    """These ECS tasks, of any number; those that no longer exist are left out."""
    answers = aws.together(
        *(
            ("ecs", "describe_tasks", {"cluster": aws.names.cluster, "tasks": part})
            for part in parts(arns)
        )
    )
    return [task for answer in answers for task in read_tasks(answer)]


def find_protected(aws: Aws, arns: Sequence[str]) -> list[tuple[str, datetime | None]]:
    """The ECS tasks that neither scale-in nor a deployment may stop: ARN, and until when."""
    answers = aws.together(
        *(
            ("ecs", "get_task_protection", {"cluster": aws.names.cluster, "tasks": part})
            for part in parts(arns)
        )
    )
    return [
        (each["taskArn"], each.get("expirationDate"))
        for answer in answers
        for each in answer["protectedTasks"]
        if each["protectionEnabled"]
    ]


def parts(items: Sequence[str]) -> Iterable[list[str]]:
    """The items in lists of the size that one call takes."""
    for start in range(0, len(items), TASKS_PER_CALL):
        yield list(items[start : start + TASKS_PER_CALL])
