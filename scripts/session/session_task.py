"""Which ECS task a session goes to, and what may keep it from getting there."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from scripts.aws import Answer, Aws
from scripts.clock import Clock
from scripts.ecs.tasks import RUNNING, STOPPED, Container, Task, describe_tasks
from scripts.errors import NotFoundError, OperatorError, OverdueError, RefusedError
from scripts.session.plugin import SessionTarget, not_connected
from scripts.target import Target
from scripts.terminal.answer import say
from service.contract import ProcessName

# It comes up half a minute to a minute after the ECS task runs.
AGENT_SECONDS = 60
POLL_SECONDS = 1.0
ID_SHOWN = 12


def check_service(target: Target, process: ProcessName, answer: Answer) -> dict[str, Any]:
    """The ECS service in the answer of `describe_services`. Raises `NotFoundError`."""
    for each in answer["services"]:
        if each.get("status") == "ACTIVE":
            found: dict[str, Any] = each
            return found
    raise NotFoundError(
        f"{target} has no ECS service {target.names.service(process)}",
        f"`{target.command('status')}` shows what is deployed.",
    )


def check_exec(target: Target, task: Task, process: ProcessName, service: Answer) -> None:
    """Raises `RefusedError` where the ECS task was started without exec."""
    if task.has_exec:
        return
    if service.get("enableExecuteCommand"):
        raise RefusedError(
            f"ECS task {task.id} was started before exec was turned on",
            f"`{target.command(f'restart {process}')}` replaces it by one that has it.",
        )
    raise without_exec(target)


def without_exec(target: Target) -> RefusedError:
    """The error for a stage whose ECS tasks can hold no session, and whose role may open none."""
    return RefusedError(
        f"ECS tasks of {target} run without exec: their root is read-only, and their role has no "
        "ssmmessages rights",
        f"`{target.command('debug worker')}` opens one in a copy of the worker, "
        f"`{target.command('run')} -- COMMAND` needs none. "
        "`enable_exec = true` in stages.toml changes both at the next deploy.",
    )


def check_root(task: Task, definition: Answer, container: str) -> None:
    """Raises `RefusedError` where the agent could not write to the container's root."""
    for each in definition["taskDefinition"]["containerDefinitions"]:
        if each["name"] == container and each.get("readonlyRootFilesystem"):
            raise RefusedError(
                f"the root of container {container} in ECS task {task.id} is read-only, and the "
                "agent behind exec writes to it",
                "`enable_exec = true` in stages.toml makes it writable at the next deploy.",
            )


def check_container(task: Task, name: str) -> Container:
    """Raises `NotFoundError` unless it runs."""
    found = task.container(name)
    if found is None:
        names = ", ".join(each.name for each in task.containers)
        raise NotFoundError(f"ECS task {task.id} has no container {name}; it has {names}")
    if found.status != RUNNING:
        raise NotFoundError(f"container {name} of ECS task {task.id} is {found.status.lower()}")
    return found


def choose(tasks: Sequence[Task], wanted: str, target: Target) -> Task:
    """The one that `wanted` begins, the only one, or the one that the operator picks; without a
    terminal the newest. Raises `NotFoundError` where there is none."""
    running = [each for each in tasks if each.status == RUNNING]
    if wanted:
        id = wanted.rpartition("/")[2]  # an ARN will do
        found = [each for each in running if each.id.startswith(id)]
        if len(found) != 1:
            known = ", ".join(each.id[:ID_SHOWN] for each in running) or "none"
            many = "several" if found else "no"
            raise NotFoundError(f"{many} running ECS tasks begin with {id}; running: {known}")
        return found[0]
    if not running:
        pending = ", ".join(f"{each.id[:ID_SHOWN]} is {each.status}" for each in tasks)
        raise NotFoundError(
            f"no ECS task runs{f' yet: {pending}' if pending else ''}",
            f"`{target.command('status')}` says why; a count of 0 is raised by `moor scale`.",
        )
    if len(running) > 1 and sys.stdin.isatty() and sys.stderr.isatty():
        return _ask(running)
    if len(running) > 1:
        say(f"the newest of {len(running)}: ECS task {running[0].id}")
    return running[0]


def _ask(running: Sequence[Task]) -> Task:
    for number, each in enumerate(running, 1):
        started = f"{each.started.astimezone():%Y-%m-%d %H:%M:%S}" if each.started else ""
        say(f"{number:3}  {each.id}  since {started}")
    wanted: int = typer.prompt("Which ECS task", default=1, type=int, err=True)
    if not 1 <= wanted <= len(running):
        raise NotFoundError(f"there is no number {wanted} in the list")
    return running[wanted - 1]


def find_container(aws: Aws, process: ProcessName, wanted: str, clock: Clock) -> SessionTarget:
    """A container that a session can go to; each prerequisite is checked first, and the one that
    fails is named with its fix."""
    target, cluster = aws.target, aws.names.cluster
    answer = aws.call(
        "ecs", "describe_services", cluster=cluster, services=[aws.names.service(process)]
    )
    service = check_service(target, process, answer)
    arns = list(
        aws.pages(
            "ecs", "list_tasks", "taskArns",
            cluster=cluster, serviceName=aws.names.service(process),
        )
    )  # fmt: skip
    if wanted:  # one of `moor debug` or `moor run` belongs to no ECS service
        arns = list(aws.pages("ecs", "list_tasks", "taskArns", cluster=cluster))
    task = choose(newest_first(describe_tasks(aws, arns)), wanted, target)
    check_exec(target, task, process, service)
    definition = aws.call("ecs", "describe_task_definition", taskDefinition=task.task_definition)
    check_root(task, definition, process)
    return await_agent(aws, task, process, clock)


def newest_first(tasks: Iterable[Task]) -> list[Task]:
    """By their start; what has not started comes last."""
    return sorted(
        tasks, key=lambda each: each.started.timestamp() if each.started else 0.0, reverse=True
    )


def await_agent(aws: Aws, task: Task, name: str, clock: Clock) -> SessionTarget:
    """Wait until the agent in the container is connected. Raises `OverdueError` or what else
    keeps it from being."""
    has_said = False
    for _ in range(round(AGENT_SECONDS / POLL_SECONDS)):
        found = check_container(task, name)
        if found.exec_agent == RUNNING:
            return SessionTarget(aws.names.cluster, task.id, name, found.runtime_id)
        if found.exec_agent == STOPPED:
            raise OperatorError(
                f"the agent behind exec in ECS task {task.id} has stopped",
                not_connected(SessionTarget(aws.names.cluster, task.id, name, "")).hint,
            )
        if not has_said:
            say(f"waiting for the agent behind exec in ECS task {task.id}")
            has_said = True
        clock.sleep(POLL_SECONDS)
        (task,) = describe_tasks(aws, [task.id]) or [task]
    raise OverdueError(
        f"the agent behind exec in ECS task {task.id} does not run after {AGENT_SECONDS} s",
        not_connected(SessionTarget(aws.names.cluster, task.id, name, "")).hint,
    )
