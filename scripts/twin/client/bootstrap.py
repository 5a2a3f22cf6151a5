"""The stack in which the CDK keeps templates and images, made of the CDK's own template.

`cdk bootstrap` does the same; its start alone takes longer than all of this.
"""

import json
from collections.abc import Callable
from typing import Any

from scripts.errors import NotFoundError, OperatorError
from scripts.twin.client.shell import ROOT
from stacks.config.pipeline import DEFAULT_QUALIFIER, QUALIFIER_KEY

Call = Callable[..., Any]

STACK = "CDKToolkit"
TEMPLATE = ROOT / "node_modules/aws-cdk/lib/api/bootstrap/bootstrap-template.yaml"
CDK_JSON = ROOT / "cdk.json"


def is_bootstrapped(call: Call) -> bool:
    try:
        call("cloudformation", "describe_stacks", StackName=STACK)
    except NotFoundError:
        return False
    return True


def bootstrap(call: Call) -> None:
    """Create the stack, with the qualifier that cdk.json may have. Raises `OperatorError`."""
    if not TEMPLATE.exists():
        raise OperatorError("the CDK's command line is not installed", "`make cdk` does it.")
    context = json.loads(CDK_JSON.read_text("utf-8-sig"))["context"]
    # https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html
    given = {
        "Qualifier": context.get(QUALIFIER_KEY, DEFAULT_QUALIFIER),
        "FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY",
        "CloudFormationExecutionPolicies": "arn:aws:iam::aws:policy/AdministratorAccess",
    }
    call(
        "cloudformation", "create_stack",
        StackName=STACK,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": given[key]} for key in given],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )  # fmt: skip
