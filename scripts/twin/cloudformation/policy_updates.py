"""Policies and roles follow the template: moto keeps those of the first deploy."""

import json
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, ManagedPolicy, Role, iam_backends
from moto.logs.models import LogGroup

# For one of AWS's that is newer than moto. The condition can be judged by nobody, so all that the
# policy may allow is let through and noted as not judged.
NOT_KNOWN = {
    "CreateDate": "2020-01-01T00:00:00+00:00",
    "UpdateDate": "2020-01-01T00:00:00+00:00",
    "Document": {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "NotKnownHere",
                "Effect": "Allow",
                "Action": "*",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:ResourceTag/not": "known"}},
            }
        ],
    },
}


def apply() -> None:
    """Patch moto in this process."""
    _managed_policies_change()
    _roles_have_all_their_policies()
    _log_groups_name_their_streams()


def _managed_policies_change() -> None:
    def update(*, original_resource: Any, cloudformation_json: Any, **_others: Any) -> Any:
        policy, given = original_resource, cloudformation_json["Properties"]
        for version in policy.versions:
            if version.is_default:
                version.document = json.dumps(given["PolicyDocument"])
        iam: Any = iam_backends[policy.account_id]["aws"]
        for role in list(iam.roles.values()):
            is_wanted = role.name in given.get("Roles", [])
            if is_wanted and policy.arn not in role.managed_policies:
                policy.attach_to(role)
            elif not is_wanted and policy.arn in role.managed_policies:
                policy.detach_from(role)
        return policy

    ManagedPolicy.update_from_cloudformation_json = update  # type: ignore[assignment]


def _roles_have_all_their_policies() -> None:
    """moto drops a role's managed policies, and changes of its trust and its own policies."""
    create, delete = Role.create_from_cloudformation_json, Role.delete_from_cloudformation_json

    def with_policies(name: str, body: Any, *given: Any, **named: Any) -> Any:
        role: Any = create(name, body, *given, **named)
        role.of_template = []
        _attach(role, body["Properties"])
        return role

    def update(*, original_resource: Any, cloudformation_json: Any, **_others: Any) -> Any:
        role, given = original_resource, cloudformation_json["Properties"]
        role.assume_role_policy_document = json.dumps(given["AssumeRolePolicyDocument"])
        role.description = given.get("Description", "")
        role.permissions_boundary_arn = given.get("PermissionsBoundary", "")
        _attach(role, given)
        return role

    def without_policies(name: str, body: Any, account_id: str, region_name: str) -> None:
        role: Any = iam_backends[account_id]["aws"].get_role(name)
        for arn in role.of_template:
            if arn in role.managed_policies:
                role.managed_policies[arn].detach_from(role)
        delete(name, body, account_id, region_name)

    Role.delete_from_cloudformation_json = without_policies  # type: ignore[assignment]
    Role.create_from_cloudformation_json = with_policies  # type: ignore[assignment]
    Role.update_from_cloudformation_json = update  # type: ignore[assignment]


def _attach(role: Any, given: dict[str, Any]) -> None:
    """Give the role the policies of its template, and take those of the template before."""
    own = {each["PolicyName"]: each["PolicyDocument"] for each in given.get("Policies", [])}
    managed = given.get("ManagedPolicyArns", [])
    for name in set(role.of_template) - {*own, *managed}:
        role.policies.pop(name, None)
        if name in role.managed_policies:
            role.managed_policies[name].detach_from(role)
    for name, text in own.items():
        role.put_policy(name, json.dumps(text))
    for arn in managed:
        if arn not in role.managed_policies:
            _managed(arn, role.account_id).attach_to(role)
    role.of_template = [*own, *managed]


def _managed(arn: str, account: str) -> Any:
    """A managed policy; one of AWS's own is read when it is first named, as they are five MB."""
    known: Any = iam_backends[account]["aws"].managed_policies
    if arn not in known and arn.startswith("arn:aws:iam::aws:"):
        path, _, name = arn.partition(":policy")[2].rpartition("/")
        of_aws = json.loads(aws_managed_policies_data).get(name, {**NOT_KNOWN, "Path": f"{path}/"})
        known[arn] = AWSManagedPolicy.from_data(name, account, "us-east-1", of_aws)
    if arn not in known:
        raise ValueError(f"Policy {arn} does not exist or is not attachable.")
    return known[arn]


def _log_groups_name_their_streams() -> None:
    """CloudFormation's `Arn` of a log group ends in `:*`, and policies are written with it."""
    given = LogGroup.get_cfn_attribute

    def get(self: LogGroup, attribute_name: str) -> str:
        found = given(self, attribute_name)
        return f"{found}:*" if attribute_name == "Arn" else found

    LogGroup.get_cfn_attribute = get  # type: ignore[method-assign]
