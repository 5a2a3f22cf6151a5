"""Explains an AWS call that failed: one sentence, what to do, and which exit code."""

import re
from dataclasses import dataclass
from typing import Any

from scripts.errors import (
    CredentialsError,
    DeniedError,
    NotFoundError,
    OperatorError,
    UnreachableError,
)
from scripts.target import Target
from stacks.config.operator_rights import rights_to

ATTEMPTS = 5
# Services that IAM names differently from boto3.
PREFIXES = {
    "elbv2": "elasticloadbalancing", "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas", "sesv2": "ses",
}  # fmt: skip
WHO = "`aws sts get-caller-identity` shows who you are; AWS_PROFILE chooses another."
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
UNKNOWN_CALLER = {
    "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "SignatureDoesNotMatch",
    "InvalidSignatureException", "InvalidAccessKeyId", "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
}  # fmt: skip
DENIED = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedException",
    "NotAuthorized", "AuthorizationError",
}  # fmt: skip
# AWS's message names the missing right, which is not always that of the call.
PERFORM = re.compile(r"not authorized to perform: ?([a-z0-9-]+:\w+)")
# Secrets Manager names no right where the caller may not use the KMS key.
NO_KEY = re.compile(r"Access to KMS is not allowed")
SAID_CHARACTERS = 300
THROTTLED = {
    "Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded",
}  # fmt: skip
ABSENT = {
    "ClusterNotFoundException", "ServiceNotFoundException", "ResourceNotFoundException",
    "ServiceNotActiveException", "ObjectNotFoundException", "TargetGroupNotFound",
    "ParameterNotFound", "NoSuchEntity", "NoSuchHostedZone", "NotFoundException",
    "DBClusterNotFoundFault",
}  # fmt: skip


@dataclass(frozen=True)
class About:
    """What an error message says about the call: the service as IAM names it, and the stage's
    output whose value is the secret."""

    service: str = ""
    secret: str = ""


NOTHING_KNOWN = About()


def explain_answer(error: Any, target: Target, about: About) -> OperatorError:
    """The error for a `ClientError` of botocore."""
    code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    call = error.operation_name
    if code in EXPIRED:
        return CredentialsError("the AWS session has expired", f"`aws sso login`. {WHO}")
    if code in UNKNOWN_CALLER:
        return CredentialsError(f"AWS does not know these credentials ({code})", WHO)
    if code in DENIED:
        return explain_refusal(f"{about.service}:{call}".lstrip(":"), said, target, about.secret)
    if code in THROTTLED:
        return UnreachableError(
            f"AWS asks to slow down ({call}, after {ATTEMPTS} attempts)", "Try again in a minute."
        )
    if code in ABSENT or (code == "ValidationError" and "does not exist" in said):
        return NotFoundError(f"{call}: {said}", f"Is {target} deployed in this account and region?")
    return OperatorError(f"{call} failed: {said or code}")


def is_refusal(said: str) -> bool:
    """Is this the message of AWS for a call without the right to it?"""
    return bool(PERFORM.search(said))


def explain_refusal(call: str, said: str, target: Target, secret: str = "") -> DeniedError:
    """The error that says which right is missing, which policy of the stage has it, what to do."""
    found = PERFORM.search(said)
    right = found[1] if found else ("kms:Decrypt" if NO_KEY.search(said) else call)
    rights = list(rights_to(right, secret))
    # A right may be needed for its own call, and also beside another call's right.
    wanted = [
        each for each in rights if (call in each.beside if right != call else not each.beside)
    ]
    levels = dict.fromkeys(str(each.level) for each in wanted or rights)
    if "explicit deny" in said:
        what = "which a policy denies them explicitly: ask who administers the account"
    elif levels:
        word = "policy" if len(levels) == 1 else "policies"
        what = (
            f"which the {word} {' and '.join(levels)} of {target} can allow them: "
            "docs/operators.md says how"
        )
    else:
        what = "which no policy of operators has: ask whoever deploys"
    words = " ".join(said.split())[:SAID_CHARACTERS]
    return DeniedError(f"these credentials may not call {right}, {what}", f"AWS: {words} {WHO}")
