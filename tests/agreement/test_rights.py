"""Roles and endpoints hold what the code calls, neither less nor more.

A domain may grant its processes more than its code calls, because the grants of the CDK are as wide
as they are.
"""

import copy
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from service import contract
from service.contract import ProcessName
from tests.agreement.aws_calls import BACKENDS, Source, source_of_today
from tests.stacks.identity import identity
from tests.stacks.templates import PARENT, Resource, Templates, deployed, stage_of, synthesize

ROLES = (ProcessName.API, ProcessName.WORKER)
OPTIONS: dict[str, object] = {
    "email_from": "hello@example.com", "sqs_queue": "jobs", "api_reads_logs": True,
}  # fmt: skip

# What AWS calls in the place of an ECS task, by what the task definition asks for.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
PULL = {
    "ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
}  # fmt: skip
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
AWSLOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specifying-sensitive-data-secrets.html
INJECT = {"secretsmanager:GetSecretValue", "kms:Decrypt for secretsmanager"}
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
SESSION = {
    "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel", "logs:CreateLogStream",
    "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents",
    "kms:Decrypt for sessions",
}  # fmt: skip
# Whoever reads or writes what the stage's key encrypts uses that key.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
BY_KEY = {
    "secretsmanager:GetSecretValue": {"kms:Decrypt for secretsmanager"},
    "s3:GetObject": {"kms:Decrypt for s3"},
    "s3:PutObject": {"kms:Decrypt for s3", "kms:GenerateDataKey for s3"},
}
# What workers may do for domains, whether there is one that does it: write results in many parts.
FOR_DOMAINS = {ProcessName.WORKER: {"s3:AbortMultipartUpload"}}
# Endpoints of a VPC, by the service whose rights are used.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
ENDPOINTS = {
    "ecr": {"ecr.api", "ecr.dkr"}, "logs": {"logs"}, "secretsmanager": {"secretsmanager"},
    "ecs": {"ecs"}, "ssmmessages": {"ssmmessages"}, "sqs": {"sqs"}, "ses": {"email"},
    "s3": {"s3"}, "kms for sessions": {"kms"},
    # Secrets Manager and S3 use the key themselves, and are asked by the endpoints of their own.
    "kms for secretsmanager": set(), "kms for s3": set(),
}  # fmt: skip


@pytest.fixture(scope="module")
def source() -> Source:
    return source_of_today()


@pytest.fixture(scope="module")
def everything() -> Templates:
    """A stage with each option that gives a right, in a network without a way out."""
    return deployed(stage_of("dev", egress="endpoints", enable_exec=False, **OPTIONS))


@pytest.fixture(scope="module", params=["dev", "prod", "everything"])
def templates(request: pytest.FixtureRequest, everything: Templates) -> Templates:
    return everything if request.param == "everything" else deployed(stage_of(request.param))


def called(source: Source, process: ProcessName, templates: Templates) -> set[str]:
    """What the code of an ECS task calls with its task role: `migrate` runs in it, too."""
    backend = "sqs" if templates.stage.sqs_queue else "postgresql"
    found = set(source.process(process, backend).rights)
    found |= source.process(ProcessName.MIGRATE).rights
    found |= source.process(ProcessName.HEALTHCHECK).rights
    if not templates.stage.email_from:  # then no client is made
        found -= {"ses:SendEmail"}
    if not templates.stage.has_readable_logs:  # then none is asked for
        found -= {"logs:FilterLogEvents"}
    return found | {each for right in found for each in BY_KEY.get(right, ())}


def asked_by_ecs(templates: Templates, process: ProcessName) -> set[str]:
    """What ECS calls with the execution role."""
    found: set[str] = set()
    definition = templates.one("AWS::ECS::TaskDefinition", process.capitalize())
    for container in definition.get("ContainerDefinitions"):
        if container["LogConfiguration"]["LogDriver"] == "awslogs":
            found |= AWSLOGS
        if "dkr.ecr" in str(container["Image"]):
            found |= PULL
        if container.get("Secrets"):
            found |= INJECT
    return found


def granted_by_domains(templates: Templates, policy: Resource) -> set[str]:
    """What the domains grant the role of a managed policy."""
    (role,) = policy.get("Roles")
    return {
        right
        for each in templates.all("AWS::IAM::ManagedPolicy")
        if each.id.startswith(PARENT) and role in each.get("Roles")
        for right in granted(each)
    }


def granted(policy: Resource) -> set[str]:
    """The rights of a managed policy; those to use the key with what it may be used for."""
    return {
        f"{action} for {_use(statement)}" if action.startswith("kms:") else action
        for statement in policy.get("PolicyDocument")["Statement"]
        for action in _many(statement["Action"])
    }


def _use(statement: dict[str, Any]) -> str:
    conditions = statement.get("Condition", {})
    if "kms:EncryptionContext:aws:ssm:TargetId" in conditions.get("StringLike", {}):
        return "sessions"
    if via := conditions.get("StringEquals", {}).get("kms:ViaService"):
        return str(via["Fn::Join"][1][0]).strip(".")
    return "anything"


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def difference(wanted: set[str], found: set[str], who: str) -> list[str]:
    """A line for each right that is missing or unused."""
    return [f"{who} calls {each} and may not" for each in sorted(wanted - found)] + [
        f"{who} may call {each}, and nothing does" for each in sorted(found - wanted)
    ]


def differences(source: Source, templates: Templates) -> Iterator[str]:
    """Over all roles of ECS tasks of a stage."""
    for process in ROLES:
        name = process.capitalize()
        calls = called(source, process, templates) | FOR_DOMAINS.get(process, set())
        exec_ = SESSION if templates.stage.enable_exec else set()
        roles = {
            f"{name}RolesTaskRolePolicy": calls | exec_,
            f"{name}RolesTaskPolicy": calls | exec_,  # of releases before, for a rollback
            f"{name}RolesExecutionPolicy": asked_by_ecs(templates, process),
        }
        if process is ProcessName.WORKER and not templates.stage.enable_exec:
            roles[f"{name}RolesDebugPolicy"] = calls | SESSION
        for prefix, wanted in roles.items():
            policy = templates.one("AWS::IAM::ManagedPolicy", prefix)
            of_domains = granted_by_domains(templates, policy)
            yield from difference(wanted - of_domains, granted(policy) - of_domains, prefix)


def test_roles_hold_what_is_called_and_nothing_else(source: Source, templates: Templates) -> None:
    assert list(differences(source, templates)) == []


def test_no_role_has_rights_that_are_not_looked_at(templates: Templates) -> None:
    policies = [each.id for each in templates.all("AWS::IAM::ManagedPolicy")]
    known = (
        r"(Api|Worker)Roles(TaskRole|Task|Execution|Debug)Policy\w+|NetworkFlowLogsPolicy\w+"
        rf"|{PARENT}\w+Rights\w+"
    )
    assert [each for each in policies if not re.fullmatch(known, each)] == []
    inline = {key for key in identity(templates)["policies"] if key.count("/") == 2}
    # CDK's own functions; AWS's policies beside them let a function log and RDS be measured.
    assert {key for key in inline if not key.endswith(("/Roles", "/ManagedPolicyArns"))} <= {
        key for key in inline if "CustomVpcRestrictDefaultSG" in key
    }


def test_each_prefix_of_the_bucket_is_granted_to_those_who_use_it(
    source: Source, everything: Templates
) -> None:
    for process in ROLES:
        policy = templates_prefixes(everything, process)
        used = {getattr(contract, name) for name in source.process(process).prefixes}
        assert {name for name in used if not name.startswith(tuple(policy))} == set()
    named = {getattr(contract, name) for each in ROLES for name in source.process(each).prefixes}
    every = {name for each in ROLES for name in templates_prefixes(everything, each)}
    assert every <= named | {contract.RESULTS_PREFIX}


def templates_prefixes(templates: Templates, process: ProcessName) -> set[str]:
    policy = templates.one("AWS::IAM::ManagedPolicy", f"{process.capitalize()}RolesTaskRolePolicy")
    return set(re.findall(r"'/(\w+/)\*'", str(policy.get("PolicyDocument"))))


def test_every_service_that_is_called_has_an_endpoint_and_no_other(
    source: Source, everything: Templates
) -> None:
    wanted, made = endpoints_wanted(source, everything), endpoints_made(everything)
    assert wanted - made == set()
    of_domains = made - endpoints_made(synthesize("dev", egress="endpoints", **OPTIONS))
    assert made - wanted <= of_domains


def test_endpoints_are_those_of_the_options(source: Source) -> None:
    bare = synthesize("dev", egress="endpoints")
    assert endpoints_made(bare) <= endpoints_wanted(source, bare)
    assert {"email", "sqs"}.isdisjoint(endpoints_made(bare))


def endpoints_wanted(source: Source, templates: Templates) -> set[str]:
    """Sessions belong to it where exec is off, too: `moor debug` opens them."""
    rights = set(SESSION)
    for process in ROLES:
        rights |= called(source, process, templates) | asked_by_ecs(templates, process)
    services = {
        f"kms {right.partition(' ')[2]}" if right.startswith("kms:") else right.partition(":")[0]
        for right in rights
    }
    return {endpoint for service in services for endpoint in ENDPOINTS.get(service, {service})}


def endpoints_made(templates: Templates) -> set[str]:
    found = set()
    for each in templates.all("AWS::EC2::VPCEndpoint"):
        name = each.get("ServiceName")
        text = name if isinstance(name, str) else str(name["Fn::Join"][1][-1])
        found.add(re.sub(r"^(com\.amazonaws)?\.?([a-z]{2}(-[a-z]+)+-\d\.)?", "", text))
    return found


def test_healthcheck_calls_nothing_and_migrate_asks_for_the_password(source: Source) -> None:
    assert source.process(ProcessName.HEALTHCHECK).rights == set()
    assert source.process(ProcessName.MIGRATE).rights == {"secretsmanager:GetSecretValue"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("process", ROLES)
def test_only_the_queue_on_sqs_calls_sqs(
    source: Source, process: ProcessName, backend: str
) -> None:
    from stacks.service.task_rights import QUEUE_ACTIONS

    found = source.process(process, backend)
    wanted = set(QUEUE_ACTIONS[process]) if backend == "sqs" else set()
    assert {right for right in found.rights if right.startswith("sqs:")} == wanted
    others = found.rights - wanted
    assert others == source.process(process, "postgresql").rights


# Calls that nobody has thought of: in which file, and what is said of them.
PLANTED = [
    (
        "service/domain/planted/routes.py",
        """
        def route():
            boto3.client("dynamodb").put_item(TableName="t", Item={})
        """,
        "ApiRolesTaskRolePolicy calls dynamodb:PutItem and may not",
    ),
    (
        "service/domain/planted/jobs/tasks.py",
        """
        from service.aws import open_bucket
        from service.queue import task

        @task()
        async def planted(ctx):
            open_bucket("b", None)._client.delete_object(Key="k")
        """,
        "WorkerRolesTaskRolePolicy calls s3:DeleteObject and may not",
    ),
    (
        "service/domain/planted/consumer.py",
        """
        from service.aws import client

        async def consume():
            client("sqs", None).receive_message(QueueUrl="u")
        """,
        None,  # nothing calls it
    ),
    (
        "service/domain/planted/jobs/startup.py",
        """
        from service.aws import client

        @on_startup
        async def consume(ctx):
            client("sqs", None).receive_message(QueueUrl="u")
        """,
        "WorkerRolesTaskRolePolicy calls sqs:ReceiveMessage and may not",
    ),
    (
        "service/domain/planted/jobs/scheduled.py",
        """
        @scheduled_task("* * * * *")
        async def planted(ctx):
            await ctx["agent"].get("/task-protection/v1/state")
        """,
        "WorkerRolesTaskRolePolicy calls ecs:GetTaskProtection and may not",
    ),
    (
        "service/migrate.py",
        """
        class Planted:
            def __init__(self):
                self.client = boto3.client("rds")

            def look(self):
                return self.client.get_paginator("describe_db_clusters")

        async def migrate():
            Planted().look()
        """,
        "ApiRolesTaskRolePolicy calls rds:DescribeDBClusters and may not",
    ),
]


@pytest.mark.parametrize(("file", "text", "says"), PLANTED, ids=lambda value: str(value)[-30:])
def test_a_new_call_without_a_right_is_found(file: str, text: str, says: str | None) -> None:
    planted = Source(planted={file: textwrap.dedent(text)})
    found = list(differences(planted, deployed(stage_of("prod"))))
    assert says in found if says else not found


def test_a_call_of_a_service_without_an_endpoint_is_found(everything: Templates) -> None:
    file, text, _ = PLANTED[0]
    wanted = endpoints_wanted(Source(planted={file: textwrap.dedent(text)}), everything)
    assert wanted - endpoints_made(everything) == {"dynamodb"}


@pytest.mark.parametrize(
    ("policy", "action"),
    [
        ("ApiRolesTaskRolePolicy", "s3:AbortMultipartUpload"),
        ("WorkerRolesTaskRolePolicy", "s3:DeleteObject"),
        ("WorkerRolesTaskRolePolicy", "ecs:GetTaskProtection"),
        ("WorkerRolesDebugPolicy", "ses:SendRawEmail"),
        ("ApiRolesExecutionPolicy", "logs:CreateLogGroup"),
        ("WorkerRolesExecutionPolicy", "ssm:GetParameters"),
    ],
)
def test_a_right_that_nothing_uses_is_found(source: Source, policy: str, action: str) -> None:
    templates = copy.deepcopy(deployed(stage_of("prod")))
    found = templates.one("AWS::IAM::ManagedPolicy", policy)
    found.get("PolicyDocument")["Statement"].append({"Action": action, "Resource": "*"})
    says = f"{policy} may call {action}, and nothing does"
    assert list(differences(source, templates)) == [says]


def test_a_key_that_may_be_used_for_anything_is_found(source: Source) -> None:
    templates = copy.deepcopy(deployed(stage_of("dev")))
    policy = templates.one("AWS::IAM::ManagedPolicy", "WorkerRolesTaskRolePolicy")
    for statement in policy.get("PolicyDocument")["Statement"]:
        if statement["Sid"] == "DecryptSession":
            del statement["Condition"]
    assert "WorkerRolesTaskRolePolicy may call kms:Decrypt for anything, and nothing does" in list(
        differences(source, templates)
    )
