"""Looks for a value everywhere that a secret must not get to."""

import base64
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from scripts.aws import Aws
from scripts.ecs.services import service_names
from stacks.config.naming import Names

LOOK_SECONDS = 0.05
# Calls whose answers people and programs see; each shows all of a stage.
LISTS: dict[str, dict[str, dict[str, str]]] = {
    "secretsmanager": {"list_secrets": {}},
    "ssm": {"describe_parameters": {}},
    "cloudformation": {"describe_stacks": {}},
    "logs": {"describe_log_groups": {}},
    "cloudwatch": {"describe_alarms": {}},
    "iam": {"list_policies": {"Scope": "Local"}},
}


@cache  # asked for each process of the machine, twenty times a second
def forms(value: str) -> tuple[bytes, ...]:
    """As it is, backwards, and as base64 and hexadecimal digits hold it."""
    plain = value.encode()
    return plain, plain[::-1], base64.b64encode(plain).rstrip(b"=")[:-1], plain.hex().encode()


def holds(data: bytes, values: Iterable[str]) -> bool:
    return any(form in data for value in values for form in forms(value))


def files_with(folder: Path, values: list[str]) -> Iterator[Path]:
    """Every file below, but for those behind a link."""
    for file in sorted(folder.rglob("*")):
        try:
            if file.is_file() and not file.is_symlink() and holds(file.read_bytes(), values):
                yield file
        except FileNotFoundError:  # gone since it was listed
            continue


def arguments_with(values: list[str]) -> list[list[str]]:
    """Of every process of this machine."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:  # it has ended since it was listed
            continue
        if holds("\0".join(words).encode("utf-8", "surrogateescape"), values):
            found.append(words)
    return found


def told(process: psutil.Process, values: Iterable[str]) -> set[str]:
    """Which of the values its environment has."""
    try:
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        return set()
    return {value for value in values if holds(environment, [value])}


@contextmanager
def watched(values: list[str]) -> Iterator[list[list[str]]]:
    """Meanwhile the arguments of all processes are looked at again and again; what had a value."""
    found: list[list[str]] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            found.extend(arguments_with(values))
            time.sleep(LOOK_SECONDS)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield found
    finally:
        ended.set()
        looking.join()


def answers(aws: Aws) -> Iterator[tuple[str, bytes]]:
    """What AWS's APIs show of the stage, by call: nobody but ECS asks for the value of a secret."""
    ask: Callable[..., Any] = aws.call
    names: Names = aws.names
    for service, calls in LISTS.items():
        for operation, given in calls.items():
            yield operation, str(ask(service, operation, **given)).encode()
    for stack in (names.network_stack, names.data_stack, names.service_stack):
        yield stack, str(ask("cloudformation", "get_template", StackName=stack)).encode()
        events = ask("cloudformation", "describe_stack_events", StackName=stack)
        yield f"events of {stack}", str(events).encode()
    cluster = names.cluster
    services = ask("ecs", "describe_services", cluster=cluster, services=[*service_names(aws)])
    yield "services", str(services).encode()
    for each in ask("ecs", "list_task_definitions")["taskDefinitionArns"]:
        yield each, str(ask("ecs", "describe_task_definition", taskDefinition=each)).encode()
    tasks = ask("ecs", "list_tasks", cluster=cluster)["taskArns"]
    yield "tasks", str(ask("ecs", "describe_tasks", cluster=cluster, tasks=tasks)).encode()
    for group in ask("logs", "describe_log_groups")["logGroups"]:
        name = group["logGroupName"]
        yield name, str(ask("logs", "filter_log_events", logGroupName=name)).encode()
