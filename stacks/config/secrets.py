"""A project's own secrets: the key, or table, `secrets` of `stages.toml`. Standard library only.

secrets = ["STRIPE_KEY"]      # of all stages; Moor keeps the value as {app}/{stage}/STRIPE_KEY
[prod.secrets]                # of one stage; what is kept elsewhere
STRIPE_KEY = "secretsmanager:shared/stripe#key"
[prod.worker.secrets]         # of one process
SMTP_PASSWORD = "ssm:/shared/smtp-password"

No value ever stands in the file: what is no place is refused, and not repeated in the message.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from service.contract import ProcessName, pool_process
from stacks.config.naming import Names
from stacks.config.stages_file import SECRETS, Line, secret_lines, split_line
from stacks.config.variables import FREE_SECRETS, Variable, name_problem

SECRETS_MANAGER, SSM = "secretsmanager", "ssm"
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
NAME = r"[A-Za-z0-9/_+=.@-]{1,512}"
ARN = rf"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{{12}}:secret:{NAME}-[A-Za-z0-9]{{6}}"
FIELD = r"[A-Za-z0-9_.@/+-]{1,128}"  # of JSON; ECS parts it from the ARN by colons
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
PARAMETER = r"[A-Za-z0-9/_.-]{1,1011}"
PLACE = rf"(({SECRETS_MANAGER}:{NAME}|{ARN})(#{FIELD})?|{SSM}:{PARAMETER})"
PLACE_ALLOWED = (
    "allowed is secretsmanager:NAME, or the ARN of a secret, each with #FIELD for a field of its "
    f'JSON, or {SSM}:NAME of a parameter; "" for {{app}}/{{stage}}/NAME. The value itself never '
    "stands here"
)
# Secrets Manager takes it for the six characters that it adds itself, and finds nothing:
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")


@dataclass(frozen=True)
class Place:
    """Where a value is kept: a secret by name or ARN, whole or a field of its JSON, or an SSM
    parameter."""

    service: str
    id: str
    field: str = ""

    def __str__(self) -> str:
        start = self.id if self.is_arn else f"{self.service}:{self.id}"
        return f"{start}#{self.field}" if self.field else start

    @property
    def is_arn(self) -> bool:
        return self.id.startswith("arn:")


@dataclass(frozen=True, order=True)
class Secret:
    """One secret variable; of API and workers unless a process, or a worker pool, is named."""

    name: str
    source: str = ""  # empty: Moor keeps it
    process: ProcessName | None = None
    pool: str = ""

    @property
    def given_to(self) -> str:
        """`api`, `worker` for the workers of all pools, `worker-reports`; empty: all of them."""
        return pool_process(self.pool) if self.pool else str(self.process or "")

    @property
    def is_own(self) -> bool:
        """Does `moor secrets set` write it? Else it belongs to whoever made it."""
        return not self.source

    def place(self, names: Names) -> Place:
        if self.is_own:
            return Place(SECRETS_MANAGER, names.secret(self.name))
        start, _, field = self.source.partition("#")
        if start.startswith("arn:"):
            return Place(SECRETS_MANAGER, start, field)
        service, _, id = start.partition(":")
        return Place(service, id, field)


def is_secret(line: Line) -> bool:
    """Is the line one of a table or list `secrets`?"""
    return line.key == SECRETS or split_line(line, SECRETS) is not None


def expanded(line: Line) -> list[Line]:
    """The line of `-c secrets=A,B` as one for each secret; any other line as it is."""
    is_list = line.table == "-c" and line.key.rpartition(".")[2] == SECRETS
    return secret_lines(line.key, line.value, line.table) if is_list else [line]


def read_secrets(lines: Iterable[Line], variables: Iterable[Variable]) -> tuple[Secret, ...]:
    """The secrets of a stage; of two lines for one and the same the later one counts.

    Raises `ValueError` with every problem, a line each, without a value.
    """
    found: dict[tuple[str, ProcessName | None, str], Secret] = {}
    plain = {variable.name for variable in variables}
    problems = []
    for line in lines:
        process, pool, name = split_line(line, SECRETS) or (None, "", "")
        if problem := _problem(name, line.value, plain):
            problems.append(f"{line.key}: {problem}")
        else:
            found[name, process, pool] = Secret(name, str(line.value), process, pool)
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(found.values())


def secrets_of(
    secrets: Iterable[Secret], process: ProcessName, pool: str = ""
) -> dict[str, Secret]:
    """The secrets that one process is given, by name.

    Of one name the pool's own counts most, then the process's, then that of API and workers.
    """
    found: dict[str, Secret] = {}
    for owner in dict.fromkeys([(None, ""), (process, ""), (process, pool)]):
        found |= {each.name: each for each in secrets if (each.process, each.pool) == owner}
    return found


def _problem(name: str, value: object, plain: set[str]) -> str | None:
    if not name:
        return 'allowed is a list of names, such as ["STRIPE_KEY"], or a table'
    if problem := name_problem(name, free=FREE_SECRETS):
        return problem
    if name in plain:
        return "is in env, too; a name is a variable or a secret"
    return None if value == "" else _place_problem(value)


def _place_problem(value: object) -> str | None:
    if not isinstance(value, str) or not re.fullmatch(PLACE, value):
        return PLACE_ALLOWED
    start = value.partition("#")[0]
    if start.startswith(SECRETS_MANAGER) and SUFFIX.search(start):
        return (
            "ends in a hyphen and six characters, which Secrets Manager takes for those that it "
            "adds itself: give the secret's ARN"
        )
    return None
