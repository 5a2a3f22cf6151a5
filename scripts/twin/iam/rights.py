"""What a call needs: an operation of AWS's API and its parameters, as actions and resources."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from moto.secretsmanager.models import secretsmanager_backends
from moto.ses.models import ses_backends

from scripts.twin.iam.call import Call, Needs
from scripts.twin.iam.evaluation import Right
from scripts.twin.iam.keys import key_arn, key_rights
from scripts.twin.iam.s3_rights import s3_rights
from scripts.twin.iam.service_reference import kinds_of_resource, named_resources

# Operations whose actions have other names; without the operations of S3.
ACTIONS = {
    "sqs:SendMessageBatch": ["SendMessage"],
    "sqs:DeleteMessageBatch": ["DeleteMessage"],
    "sqs:ChangeMessageVisibilityBatch": ["ChangeMessageVisibility"],
    "sns:PublishBatch": ["Publish"],
    "lambda:Invoke": ["InvokeFunction"],
    "lambda:InvokeWithResponseStream": ["InvokeFunction"],
    "kms:ReEncrypt": ["ReEncryptFrom", "ReEncryptTo"],
}
ANYBODY = {"sts:GetCallerIdentity", "sts:GetSessionToken"}  # these need no right


def needs(call: Call) -> Needs:
    """The rights that a call needs, with those to the key of its resource."""
    if f"{call.prefix}:{call.operation}" in ANYBODY:
        return Needs()
    found = s3_rights(call) if call.prefix == "s3" else _rights(call)
    return Needs(found.direct, [] if found.not_judged else key_rights(call), found.not_judged)


def _rights(call: Call) -> Needs:
    name = f"{call.prefix}:{call.operation}"
    actions = ACTIONS.get(name, [call.operation])
    context = CONTEXTS[call.prefix](call) if call.prefix in CONTEXTS else {}
    rights = []
    for action in actions:
        kinds = kinds_of_resource(call.prefix, action)
        if kinds is None:
            return Needs(not_judged=f"no action of IAM is known for {name}")
        resources: list[str] | list[None] = ["*"]
        if kinds:
            found = RESOURCES[call.prefix](call) if call.prefix in RESOURCES else []
            named = found or named_resources(call.prefix, kinds, call.params.values())
            resources = named or [None]
        rights += [Right(f"{call.prefix}:{action}", each, context) for each in resources]
    return Needs(rights)


def _secret(call: Call) -> list[str]:
    id = call.params.get("SecretId") or call.params.get("Name")
    if id is None:
        return []
    secrets: Any = secretsmanager_backends[call.account][call.region].secrets
    if id in secrets:
        return [secrets[id].arn]
    return [id if id.startswith("arn:") else call.arn(f"secret:{id}-??????")]


def _queue(call: Call) -> list[str]:
    name = call.first("QueueName") or urlsplit(call.params.get("QueueUrl", "")).path
    return [call.arn(name.rpartition("/")[2])] if name else []


def _key(call: Call) -> list[str]:
    key = call.first("KeyId", "TargetKeyId")
    found = key_arn(key, call.account, call.region) if key else None
    return [found] if found else []


def _identity(call: Call) -> list[str]:
    source = call.first("Source", "FromEmailAddress")
    if source is None:
        return []
    address = _address(source)
    known = ses_backends[call.account][call.region].email_identities
    domain = address.rpartition("@")[2]
    is_of_domain = domain in known and address not in known
    return [call.arn(f"identity/{domain if is_of_domain else address}")]


def _address(text: str) -> str:
    return text.rpartition("<")[2].rstrip(">").strip()


def _ecs(call: Call) -> list[str]:
    cluster = _cluster(call)

    def arn(kind: str, name: str) -> str:
        return name if name.startswith("arn:") else call.arn(f"{kind}/{cluster}/{name}")

    task = call.first("tasks", "task")
    if task:
        return [arn("task", each) for each in (task if isinstance(task, list) else [task])]
    if service := call.first("service", "serviceName"):
        return [arn("service", service)]
    if services := call.first("services"):
        return [arn("service", each) for each in services]
    if definition := call.params.get("taskDefinition"):
        is_arn = definition.startswith("arn:")
        whole = definition if is_arn else call.arn(f"task-definition/{definition}")
        return [whole if whole.rpartition(":")[2].isdigit() else f"{whole}:*"]
    return [call.arn(f"cluster/{cluster}")] if call.params.get("cluster") else []


def _cluster(call: Call) -> str:
    return str(call.params.get("cluster") or "default").rpartition("/")[2]


def _log(call: Call) -> list[str]:
    group = call.first("logGroupName", "logGroupIdentifier")
    if group is None:
        return []
    name = group.partition(":log-group:")[2].removesuffix(":*") or group
    return [call.arn(f"log-group:{name}:log-stream:{call.params.get('logStreamName') or ''}")]


def _named(kind: str, *parameters: str, region: bool = True) -> Callable[[Call], list[str]]:
    """The resource whose name or ARN is in one of these parameters."""

    def find(call: Call) -> list[str]:
        value = call.first(*parameters)
        if not isinstance(value, str):
            return []
        name = value.removeprefix("/") if kind == "parameter/" else value
        return [value if value.startswith("arn:") else call.arn(kind + name, region=region)]

    return find


RESOURCES: dict[str, Callable[[Call], list[str]]] = {
    "secretsmanager": _secret,
    "sqs": _queue,
    "kms": _key,
    "ses": _identity,
    "ecs": _ecs,
    "logs": _log,
    "ecr": _named("repository/", "repositoryName"),
    "ssm": _named("parameter/", "Name"),
    "sns": _named("", "TopicArn", "TargetArn", "Name"),
    "dynamodb": _named("table/", "TableName"),
    "lambda": _named("function:", "FunctionName"),
    "iam": _named("role/", "RoleName", region=False),
    "sts": _named("", "RoleArn", region=False),
}


def _ses_context(call: Call) -> dict[str, list[str] | None]:
    source = call.first("Source", "FromEmailAddress")
    to = call.params.get("Destination") or {}
    return {
        "ses:fromaddress": [_address(source)] if source else [],
        "ses:fromdisplayname": [source.partition("<")[0].strip()] if source else [],
        "ses:recipients": [each for listed in to.values() for each in listed or []],
        "ses:apiversion": ["2" if call.service == "sesv2" else "1"],
    }


def _kms_context(call: Call) -> dict[str, list[str] | None]:
    given = call.params.get("EncryptionContext") or {}
    return {
        "kms:calleraccount": [call.account],
        "kms:viaservice": [],
        "kms:encryptioncontextkeys": list(given),
        **{f"kms:encryptioncontext:{name}".lower(): [each] for name, each in given.items()},
    }


CONTEXTS: dict[str, Callable[[Call], dict[str, list[str] | None]]] = {
    "ses": _ses_context,
    "kms": _kms_context,
    "ecs": lambda call: {"ecs:cluster": [call.arn(f"cluster/{_cluster(call)}")]},
    "secretsmanager": lambda call: {
        "secretsmanager:secretid": [call.params.get("SecretId", "")],
        "secretsmanager:versionstage": [call.params.get("VersionStage") or "AWSCURRENT"],
    },
}
