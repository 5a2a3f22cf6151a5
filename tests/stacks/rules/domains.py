"""What must hold of the resources that a domain adds, beyond what cdk-nag looks at.

Unlike the rules of the stage itself these are broken by code that its author has to mend, so each
says of which construct, why and what to do.
"""

from collections.abc import Iterator
from typing import Any

from tests.stacks.rules.task_definitions import containers
from tests.stacks.templates import Templates

# How CloudFormation is asked for the value of a secret.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
RESOLVED = ("{{resolve:secretsmanager:", "{{resolve:ssm-secure:")


def broken(templates: Templates) -> list[str]:
    """A line for each construct that breaks a rule."""
    return [line for rule in RULES for line in rule(templates)]


def secrets_are_in_no_template(templates: Templates) -> Iterator[str]:
    """CKV_SECRET_6: who may read the stack would read it."""
    for each in _added(templates, "AWS::SecretsManager::Secret"):
        if isinstance(each.get("SecretString"), str):
            yield (
                f"{templates.construct(each)} is a secret whose value stands in the template: name "
                "it under `secrets` in stages.toml and `moor secrets set` it, or let it be made by "
                "`generate_secret_string`"
            )


def secrets_are_in_no_variable(templates: Templates) -> Iterator[str]:
    """ECS.8, CKV_AWS_45: who may describe a task definition or a function would read it."""
    told = [
        (f"container {each['Name']}", each.get("Environment", ())) for each in containers(templates)
    ]
    for each in _added(templates, "AWS::Lambda::Function"):
        variables = each.get("Environment.Variables") or {}
        pairs = [{"Name": name, "Value": value} for name, value in variables.items()]
        told.append((templates.construct(each), pairs))
    for who, variables in told:
        for name in (one["Name"] for one in variables if _is_resolved(one.get("Value"))):
            yield (
                f"{name} of {who} is the value of a secret, in plain: name the secret under "
                "`secrets` in stages.toml, or tell its ARN and read it in the process"
            )


def nobody_has_keys_for_ever(templates: Templates) -> Iterator[str]:
    """IAM.3, CKV_AWS_273: a right of a process is its role's."""
    for each in _added(templates, "AWS::IAM::AccessKey"):
        yield (
            f"{templates.construct(each)} is a key that does not end: grant what it is for to "
            "`domain.api` or `domain.workers`"
        )


def _added(templates: Templates, type: str) -> list[Any]:
    return [each for each in templates.of_domains() if each.type == type]


def _is_resolved(value: object) -> bool:
    return any(start in str(value) for start in RESOLVED)


RULES = (secrets_are_in_no_template, secrets_are_in_no_variable, nobody_has_keys_for_ever)
