"""Who may read which secret, and who may do too much."""

import re
from collections.abc import Iterator

from scripts.doctor.model import System, containers, execution_role, services, task_role
from scripts.doctor.permissions import allows, secret_name
from scripts.doctor.rule import ECS, Rule, Severity, rule
from service.contract import EnvVar, ProcessName

READ_SECRET = "secretsmanager:GetSecretValue"  # noqa: S105 - an action's name
# Actions that know no resource, so that "*" is all there is.
WITHOUT_RESOURCE = re.compile(
    r"^(ecr:GetAuthorizationToken|ssmmessages:\w+|xray:\w+|logs:DescribeLogGroups)$"
)
SECRETS_PAGE = f"{ECS}/specifying-sensitive-data.html"
PASSWORD_IN_URL = re.compile(r"://[^/@\s:]+:[^/@\s]+@")
PASSWORD_NAME = re.compile(r"PASSWORD|PASSWD|API_KEY|SECRET_KEY|TOKEN$")


@rule(
    "secret-unreadable", Severity.ERROR,
    f"Allow {READ_SECRET} on it in the execution role: the ECS task does not start without.",
    SECRETS_PAGE,
)  # fmt: skip
def secret_unreadable(system: System) -> Iterator[str]:
    for service, container in containers(system):
        for name, value_from in container.secrets.items():
            secret = secret_name(value_from)
            if not allows(execution_role(system, service), READ_SECRET, secret):
                yield f"{service.name}: its execution role may not read {name} of {container.name}"


@rule(
    "secret-for-nobody", Severity.WARNING,
    "Take it out of the execution role: it is for the secrets of its own containers.",
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
                    if secret not in named:
                        yield f"{service.name}: its execution role may read {secret}, for nobody"


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
                yield f"{service.name}: {container.name} has a password in {name}, for all to read"
        if container.name == ProcessName.MIGRATE:
            continue  # it is the owner, and gone before a password rotates
        for name, value_from in container.secrets.items():
            if master and secret_name(value_from) == master:
                yield (
                    f"{service.name}: {container.name} is given the database's password as {name}; "
                    "it rotates, and the container keeps the old one"
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
            yield f"{service.name}: its task role may not ask for the database's password"


@rule(
    "database-owner", Severity.WARNING,
    "Deploy: `migrate` makes a user for API and worker who can make, change and drop no table.",
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
