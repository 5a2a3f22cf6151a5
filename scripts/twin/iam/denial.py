"""A refusal in AWS's words: its code and its sentence, as each service has them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from collections.abc import Callable

from scripts.twin.iam.evaluation import Right, Verdict

# Codes other than AccessDenied and, by the JSON protocols, AccessDeniedException.
CODES = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError", "sqs": "AccessDenied"}

# These services spell their actions in a way of their own.
SPELT: dict[str, Callable[[str], str]] = {
    "sqs": str.lower,
    "sns": lambda action: action.replace("sns:", "SNS:"),
}


def sentence(who: str, right: Right, verdict: Verdict, *, resource: str | None = None) -> str:
    """What AWS says about a right that is refused; `resource` as its service names it."""
    named = resource or right.resource or "*"
    shown = f'"{named}"' if right.action.startswith("s3:") else named
    return (
        f"User: {who} is not authorized to perform: {right.action} on resource: {shown} "
        f"{verdict.reason}"
    )


def code_and_text(
    who: str, right: Right, verdict: Verdict, *, prefix: str, named: str | None, is_json: bool
) -> tuple[str, str]:
    """Code and sentence for a call of the service `prefix`, which may have asked for a right to a
    key in its caller's name; `named` is the resource in the caller's words."""
    code = CODES.get(prefix, "AccessDeniedException" if is_json else "AccessDenied")
    is_of_key = right.action.startswith("kms:") and prefix != "kms"
    if is_of_key and prefix == "secretsmanager":
        return code, "Access to KMS is not allowed"
    if is_of_key and prefix == "sqs":
        return "KmsAccessDenied", sentence(who, right, verdict)
    if prefix == "ses":
        return code, (
            f"User `{who}' is not authorized to perform `{right.action}' on resource "
            f"`{right.resource or '*'}'"
        )
    if prefix in SPELT:
        name = SPELT[prefix](right.action)
        reason = verdict.reason.replace(right.action, name)
        return code, sentence(who, Right(name, right.resource), Verdict(False, reason))
    if prefix == "secretsmanager":
        return code, sentence(who, right, verdict, resource=named)
    text = sentence(who, right, verdict)
    if prefix == "ec2":
        text = f"You are not authorized to perform this operation. {text}"
    return code, text
