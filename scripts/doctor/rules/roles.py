"""Who may read which secret, and who may do too much."""

import re
from collections.abc import Iterator

from scripts.doctor.model import System, containers, execution_role, services, task_role
from scripts.doctor.permissions import (
    READ_PARAMETER,
    READ_SECRET,
    SUFFIX,
    allows,
    may_read,
    secret_name,
)
from scripts.doctor.rule import ECS, Rule, Severity, rule
from service.contract import EnvVar, ProcessName

# Actions without resources: a policy can only say "*" for them.
WITHOUT_RESOURCE = re.compile(
    r"^(ecr:GetAuthorizationToken|ssmmessages:\w+|xray:\w+|logs:DescribeLogGroups)$"
)
SECRETS_PAGE = f"{ECS}/specifying-sensitive-data.html"
PASSWORD_IN_URL = re.compile(r"://[^/@\s:]+:[^/@\s]+@")
PASSWORD_NAME = re.compile(r"PASSWORD|PASSWD|API_KEY|SECRET_KEY|TOKEN$")


@rule(
    "secret-unreadable", Severity.ERROR,
    f"Allow {READ_SECRET} or {READ_PARAMETER} on it in the execution role: without it the ECS "
    "task does not start.",
    SECRETS_PAGE,
)  # fmt: skip
def secret_unreadable(system: System) -> Iterator[str]:
    for service, container in containers(system):
        for name, value_from in container.secrets.items():
            if not may_read(execution_role(system, service), value_from):
                yield f"{service.name}: its execution role may not read {name} of {container.name}"


@rule(
    "secret-for-nobody", Severity.WARNING,
    "Remove it from the execution role, which should read only the secrets of its containers.",
    SECRETS_PAGE,
)  # fmt: skip
def secret_for_nobody(system: System) -> Iterator[str]:
    for service in services(system):
        named = {
            secret_name(value_from)
            for container in service.definition.containers
            for value_from in container.secrets.values()
        }
        for statement in execution_role(system, service).statements:
            if READ_SECRET in statement.actions:
                for secret in statement.resources:
                    if secret.removesuffix(SUFFIX) not in named:
                        yield (
                            f"{service.name}: its execution role may read {secret}, which no "
                            "container uses"
                        )


@rule(
    "password-in-environment", Severity.ERROR,
    "Give DATABASE_SECRET_ARN instead: the service asks for the password at each connect.",
    SECRETS_PAGE,
)  # fmt: skip
def password_in_environment(system: System) -> Iterator[str]:
    master = system.database.master_secret if system.database else ""
    for service, container in containers(system):
        for name, value in container.environment.items():
            if PASSWORD_IN_URL.search(value) or (value and PASSWORD_NAME.search(name)):
                yield f"{service.name}: {container.name} has a password in {name} in clear text"
        if container.name == ProcessName.MIGRATE:
            continue  # it connects as the owner, and ends before the password can rotate
        for name, value_from in container.secrets.items():
            if master and secret_name(value_from) == master:
                yield (
                    f"{service.name}: {container.name} gets the database's password as {name} at "
                    "its start, and fails when the password rotates"
                )


@rule(
    "role-too-wide", Severity.WARNING,
    "Name the actions and the resources.",
    f"{ECS}/security-iam-best-practices.html",
)  # fmt: skip
def role_too_wide(system: System) -> Iterator[str]:
    for service in services(system):
        for statement in task_role(system, service).statements:
            if wide := [action for action in statement.actions if "*" in action]:
                yield f"{service.name}: its task role may {', '.join(wide)}"
            elif "*" in statement.resources and (
                wide := [a for a in statement.actions if not WITHOUT_RESOURCE.match(a)]
            ):
                yield f"{service.name}: its task role may {', '.join(wide)} on everything"


@rule(
    "database-password-unreadable", Severity.ERROR,
    f"Allow {READ_SECRET} on the database's secret in the task role.",
    SECRETS_PAGE,
)  # fmt: skip
def database_password_unreadable(system: System) -> Iterator[str]:
    for service in services(system):
        secret = service.definition.main.environment.get(EnvVar.DATABASE_SECRET_ARN)
        if secret and not allows(task_role(system, service), READ_SECRET, secret):
            yield f"{service.name}: its task role may not read the database's password"


@rule(
    "database-owner", Severity.WARNING,
    "Deploy: `migrate` makes a user for API and worker that cannot create or change tables.",
    "docs/security.md#who-connects-to-the-database",
)  # fmt: skip
def database_owner(system: System) -> Iterator[str]:
    master = system.database.master_secret if system.database else ""
    for service in services(system) if master else ():
        if service.definition.main.environment.get(EnvVar.DATABASE_SECRET_ARN) == master:
            yield f"{service.name}: connects as the database's owner"
        elif allows(task_role(system, service), READ_SECRET, master):
            yield f"{service.name}: its task role may read the password of the database's owner"


ROLES: tuple[Rule[System], ...] = (
    secret_unreadable, secret_for_nobody, password_in_environment, role_too_wide,
    database_password_unreadable, database_owner,
)  # fmt: skip
