"""A project's own environment variables: tables `env` of `stages.toml`. Standard library only.

[env]               # all stages, API and workers
SITE_NAME = "Shop"
[prod.worker.env]   # one stage, one process: the workers of all pools
BATCH_ROWS = 500
[prod.workers.reports.env]  # one pool
BATCH_ROWS = 50
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from service.contract import EnvVar, ProcessName
from stacks.config.stages_file import ENV, Line, split_line

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
VALUE_MAX_CHARACTERS = 4096
# The service's own variables that a project may set: no key and no resource decides them.
FREE = (
    EnvVar.LOG_LEVEL, EnvVar.METRIC_SECONDS, EnvVar.OTEL_METRICS_EXPORTER, EnvVar.OTEL_SDK_DISABLED,
    EnvVar.OTEL_TRACES_EXPORTER, EnvVar.REDACT_NAMES, EnvVar.WORKER_POLL_SECONDS,
)  # fmt: skip
FREE_SECRETS = (EnvVar.SENTRY_DSN,)  # and of those, what belongs among the secrets
INSTEAD: Mapping[str, str] = {
    EnvVar.OTEL_EXPORTER_OTLP_ENDPOINT: "is the key telemetry.endpoint",
    EnvVar.SENTRY_DSN: "is a secret: name it in secrets",
}
RESERVED = ("AWS_", "ECS_")


@dataclass(frozen=True, order=True)
class Variable:
    """One variable; of API and workers unless a process, or a worker pool, is named."""

    name: str
    value: str
    process: ProcessName | None = None
    pool: str = ""


def is_variable(line: Line) -> bool:
    """Is the line one of a table `env`?"""
    return split_line(line, ENV) is not None


def read_variables(lines: Iterable[Line]) -> tuple[Variable, ...]:
    """The variables of a stage; of two lines for one and the same the later one counts.

    Raises `ValueError` with every problem, a line each.
    """
    found: dict[tuple[str, ProcessName | None, str], Variable] = {}
    problems = []
    for line in lines:
        process, pool, name = split_line(line, ENV) or (None, "", "")
        if problem := _problem(name, line.value):
            problems.append(f"{line.key}: {problem}")
        else:
            found[name, process, pool] = Variable(name, _text(line.value), process, pool)
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(found.values())


def of_process(
    variables: Iterable[Variable], process: ProcessName, pool: str = ""
) -> dict[str, str]:
    """The variables that one process is told, by name.

    Of one name the pool's own counts most, then the process's, then that of API and workers.
    """
    found: dict[str, str] = {}
    for owner in dict.fromkeys([(None, ""), (process, ""), (process, pool)]):
        found |= {each.name: each.value for each in variables if (each.process, each.pool) == owner}
    return found


def name_problem(name: str, *, free: Collection[str] = FREE) -> str | None:
    """Why no variable, or no secret, of a project is called so. `free` are the names of the service
    itself that a project may set."""
    if not NAME.fullmatch(name):
        return "a variable is A-Z, 0-9 and _, a letter first, 128 characters at most"
    if name in set(EnvVar) - {*free} or name.startswith(RESERVED):
        return INSTEAD.get(name, "is set by Moorage or AWS; call yours otherwise")
    return None


def _problem(name: str, value: object) -> str | None:
    if problem := name_problem(name):
        return problem
    if not isinstance(value, str | int | float):
        return "allowed is a text, a number, true or false"
    if len(_text(value)) > VALUE_MAX_CHARACTERS or "\0" in _text(value):
        return f"is longer than {VALUE_MAX_CHARACTERS} characters, or holds NUL"
    return None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
