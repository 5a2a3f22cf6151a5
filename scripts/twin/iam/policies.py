"""The policies that moto keeps, as they are now: of roles, and of resources."""

import ast
import functools
import json
from typing import Any

from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from scripts.twin.iam.evaluation import BOUNDARY, IDENTITY, RESOURCE, Policy


def find_role(arn: str, account: str) -> Any:
    """moto's role, or None where there is none."""
    try:
        return iam_backends[account]["aws"].get_role_by_arn(arn)
    except NotFoundException:
        return None


def policies_of(role: Any) -> list[Policy]:
    """The role's own policies and the managed ones."""
    own = [Policy(IDENTITY, name, document(text)) for name, text in list(role.policies.items())]
    managed = list(role.managed_policies.values())
    return own + [Policy(IDENTITY, each.name, document(_current(each))) for each in managed]


def boundary_of(role: Any) -> list[Policy]:
    """The role's permissions boundary, if it has one."""
    known: Any = iam_backends[role.account_id]["aws"].managed_policies
    policy = known.get(role.permissions_boundary_arn or "")
    return [Policy(BOUNDARY, policy.name, document(_current(policy)))] if policy else []


def trust_of(role: Any) -> Policy:
    """Who may take the role."""
    return Policy(RESOURCE, f"trust of {role.name}", document(role.assume_role_policy_document))


def policy_on(arn: str | None, account: str) -> Policy | None:
    """The policy of a bucket, a key, a secret, a queue, a topic, or the trust of a role; None where
    there is none. A bucket's ARN does not tell its `account`."""
    if arn is None or arn.count(":") < 5:
        return None
    service, region, _, name = arn.split(":", 5)[2:]
    if service == "iam" and name.startswith("role/"):
        role = find_role(arn, account)
        return trust_of(role) if role else None
    found: Any = None
    if service == "s3":
        found = s3_backends[account]["aws"].buckets.get(name.partition("/")[0])
    elif service == "kms":
        found = kms_backends[account][region].keys.get(name.removeprefix("key/"))
    elif service == "secretsmanager":
        secrets: Any = secretsmanager_backends[account][region].secrets
        found = secrets.get(arn)
    elif service == "sqs":
        found = sqs_backends[account][region].queues.get(name)
    elif service == "sns":
        found = sns_backends[account][region].topics.get(arn)
    text = getattr(found, "policy", None)
    return Policy(RESOURCE, f"policy of {name}", document(text)) if text else None


def _current(policy: Any) -> str:
    return next((str(each.document) for each in policy.versions if each.is_default), "{}")


def document(text: Any) -> dict[str, Any]:
    """moto keeps a policy of a stack as an object, or as Python writes one."""
    if isinstance(text, dict):
        return text
    return _parsed(text if isinstance(text, str) else bytes(text).decode())


@functools.lru_cache(512)
def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = ast.literal_eval(text)
    return found if isinstance(found, dict) else {}
