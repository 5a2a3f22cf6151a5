"""What a review looks at first: what holds data, under which logical id, and who may do what.

`python -m tests.stacks.identity` writes identity.json anew.
"""

import json
from pathlib import Path
from typing import Any

from tests.stacks.templates import STAGES, Templates, of_stage

FILE = Path(__file__).with_name("identity.json")

# CloudFormation replaces these, or loses them, when their logical id changes.
STATEFUL = {
    "AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::KMS::Key", "AWS::Logs::LogGroup",
    "AWS::RDS::DBCluster", "AWS::RDS::DBInstance", "AWS::RDS::DBSubnetGroup", "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret", "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::ECS::Cluster", "AWS::ECS::Service", "AWS::SNS::Topic",
}  # fmt: skip
DOCUMENTS = ("PolicyDocument", "AssumeRolePolicyDocument", "KeyPolicy")


def identity(templates: Templates) -> dict[str, Any]:
    """Logical ids and types of what holds data; every statement of every policy.

    The same whatever the app is called.
    """
    names = templates.stage.names
    found = json.dumps(_identity(templates))
    found = found.replace(names.prefix, "{app}-{stage}").replace(names.secret(""), "{app}/{stage}/")
    named: dict[str, Any] = json.loads(found)
    return named


def _identity(templates: Templates) -> dict[str, Any]:
    stateful = {f"{each.stack}/{each.id}": each.type for each in templates if each.type in STATEFUL}
    policies: dict[str, Any] = {}
    for each in templates:
        for name in DOCUMENTS:
            if document := each.properties.get(name):
                policies[f"{each.stack}/{each.id}"] = _lines(
                    [document["Version"], *document["Statement"]]
                )
        for inline in each.properties.get("Policies", []):
            key = f"{each.stack}/{each.id}/{inline['PolicyName']}"
            document = inline["PolicyDocument"]
            policies[key] = _lines([document["Version"], *document["Statement"]])
        for name in ("ManagedPolicyArns", "Roles"):
            if attached := each.properties.get(name):
                policies[f"{each.stack}/{each.id}/{name}"] = _lines(attached)
    return {"stateful": stateful, "policies": policies}


def _lines(items: list[Any]) -> list[str]:
    """One line each, so that a difference is read at a glance."""
    return [json.dumps(item, sort_keys=True) for item in items]


def all_stages() -> dict[str, Any]:
    return {stage: identity(of_stage(stage)) for stage in STAGES}


if __name__ == "__main__":
    FILE.write_text(json.dumps(all_stages(), indent=1, sort_keys=True) + "\n")
