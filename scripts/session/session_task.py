"""Chooses the ECS task of a session, and checks what the session needs."""

import sys
from collections.abc import Iterable, Sequence

import typer

from scripts.aws import Answer, Aws
from scripts.clock import Clock
from scripts.ecs.services import Service, find_service
from scripts.ecs.tasks import RUNNING, STOPPED, Container, Task, describe_tasks, find_tasks
from scripts.errors import NotFoundError, OperatorError, OverdueError, RefusedError
from scripts.processes import container_of
from scripts.session.plugin import SessionTarget, not_connected
from scripts.target import Target
from scripts.terminal.answer import say

AGENT_SECONDS = 60  # the agent of exec starts half a minute to a minute after the ECS task
POLL_SECONDS = 1.0
ID_SHOWN = 12


def check_exec(target: Target, task: Task, service: Service) -> None:
    """Raises `RefusedError` where the ECS task was started without exec."""
    if task.has_exec:
        return
    if service.has_exec:
        raise RefusedError(
            f"ECS task {task.id} was started before exec was turned on",
            f"`{target.command(f'restart {service.process}')}` replaces it.",
        )
    raise without_exec(target)


def without_exec(target: Target) -> RefusedError:
    """The error for a stage whose ECS tasks run without exec."""
    return RefusedError(
        f"ECS tasks of {target} run without exec: their root is read-only, and their role has no "
        "ssmmessages rights",
        f"`{target.command('debug worker')}` opens a session in a copy of the worker; "
        f"`{target.command('run')} -- COMMAND` needs none. "
        "`enable_exec = true` in stages.toml turns exec on at the next deploy.",
    )


def check_root(task: Task, definition: Answer, container: str) -> None:
    """Raises `RefusedError` where the container's root is read-only, to which the agent writes."""
    for each in definition["taskDefinition"]["containerDefinitions"]:
        if each["name"] == container and each.get("readonlyRootFilesystem"):
            raise RefusedError(
                f"the root of container {container} in ECS task {task.id} is read-only, and the "
                "agent of exec writes to it",
                "`enable_exec = true` in stages.toml makes it writable at the next deploy.",
            )


def check_container(task: Task, name: str) -> Container:
    """The container of that name. Raises `NotFoundError` unless it runs."""
    found = task.container(name)
    if found is None:
        names = ", ".join(each.name for each in task.containers)
        raise NotFoundError(f"ECS task {task.id} has no container {name}; it has {names}")
    if found.status != RUNNING:
        raise NotFoundError(f"container {name} of ECS task {task.id} is {found.status.lower()}")
    return found


def choose(tasks: Sequence[Task], wanted: str, target: Target) -> Task:
    """The ECS task whose id begins with `wanted`. Otherwise the only one, the one that the operator
    picks, or without a terminal the newest. Raises `NotFoundError` where there is none."""
    running = [each for each in tasks if each.status == RUNNING]
    if wanted:
        id = wanted.rpartition("/")[2]  # an ARN is accepted too
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
            f"`{target.command('status')}` shows why; `moor scale` raises a count of 0.",
        )
    if len(running) > 1 and sys.stdin.isatty() and sys.stderr.isatty():
        return _pick(running)
    if len(running) > 1:
        say(f"the newest of {len(running)}: ECS task {running[0].id}")
    return running[0]


def _pick(running: Sequence[Task]) -> Task:
    for number, each in enumerate(running, 1):
        started = f"{each.started.astimezone():%Y-%m-%d %H:%M:%S}" if each.started else ""
        say(f"{number:3}  {each.id}  since {started}")
    wanted: int = typer.prompt("Which ECS task", default=1, type=int, err=True)
    if not 1 <= wanted <= len(running):
        raise NotFoundError(f"there is no number {wanted} in the list")
    return running[wanted - 1]


def find_container(aws: Aws, process: str, wanted: str, clock: Clock) -> SessionTarget:
    """A container for a session. Checks everything that a session needs first; the error names what
    is missing and its fix."""
    service = find_service(aws, process)
    if wanted:  # of the whole cluster: one of `moor debug` or `moor run` has no ECS service
        arns = list(aws.pages("ecs", "list_tasks", "taskArns", cluster=aws.names.cluster))
        tasks = describe_tasks(aws, arns)
    else:
        tasks = find_tasks(aws, service)
    task = choose(newest_first(tasks), wanted, aws.target)
    check_exec(aws.target, task, service)
    definition = aws.call("ecs", "describe_task_definition", taskDefinition=task.task_definition)
    container = container_of(process)
    check_root(task, definition, container)
    return await_agent(aws, task, container, clock)


def newest_first(tasks: Iterable[Task]) -> list[Task]:
    """The ECS tasks by their start; those that have not started come last."""
    return sorted(
        tasks, key=lambda each: each.started.timestamp() if each.started else 0.0, reverse=True
    )


def await_agent(aws: Aws, task: Task, name: str, clock: Clock) -> SessionTarget:
    """Wait until the agent in the container runs. Raises `OverdueError` if it does not in time,
    `OperatorError` if it has stopped, `NotFoundError` if the container does not run."""
    has_said = False
    for _ in range(round(AGENT_SECONDS / POLL_SECONDS)):
        found = check_container(task, name)
        if found.exec_agent == RUNNING:
            return SessionTarget(aws.names.cluster, task.id, name, found.runtime_id)
        if found.exec_agent == STOPPED:
            raise OperatorError(
                f"the agent of exec in ECS task {task.id} has stopped",
                not_connected(SessionTarget(aws.names.cluster, task.id, name, "")).hint,
            )
        if not has_said:
            say(f"waiting for the agent of exec in ECS task {task.id}")
            has_said = True
        clock.sleep(POLL_SECONDS)
        (task,) = describe_tasks(aws, [task.id]) or [task]
    raise OverdueError(
        f"the agent of exec in ECS task {task.id} does not run after {AGENT_SECONDS} s",
        not_connected(SessionTarget(aws.names.cluster, task.id, name, "")).hint,
    )
