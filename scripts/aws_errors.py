"""What it means that AWS refuses a call: one sentence, what to do, and which exit code."""

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
# Another name in IAM than in boto3.
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
# What AWS's own sentence says of the right that is missing: not always that of the call.
PERFORM = re.compile(r"not authorized to perform: ?([a-z0-9-]+:\w+)")
# Secrets Manager names no right where it may not use the key in the caller's name.
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
    """What a call is about, for the words of its failure: the service as IAM names it, and the
    output of the stage that names the secret."""

    service: str = ""
    secret: str = ""


NOTHING_KNOWN = About()


def explain_answer(error: Any, target: Target, about: About) -> OperatorError:
    """For a `ClientError` of botocore."""
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
    """Are these AWS's words for a call that it refuses?"""
    return bool(PERFORM.search(said))


def explain_refusal(call: str, said: str, target: Target, secret: str = "") -> DeniedError:
    """Which right is missing, which policy of the stage has it, and what to do."""
    found = PERFORM.search(said)
    right = found[1] if found else ("kms:Decrypt" if NO_KEY.search(said) else call)
    rights = list(rights_to(right, secret))
    # The same right may stand for a call of its own, and beside another one.
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
