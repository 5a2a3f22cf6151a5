"""Writes and deletes the secrets that Moor keeps on AWS. No value is read, and none is shown."""

from scripts.aws import Aws
from scripts.errors import OperatorError
from scripts.secrets.kept import State, look
from stacks.config.secrets import SECRETS_MANAGER, Place

# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
VALUE_MAX_BYTES = 65_536
RECOVERY_DAYS = 30


def check_value(name: str, value: str) -> None:
    """Raises `OperatorError` for a value that cannot be one, without it."""
    size = len(value.encode("utf-8", "surrogateescape"))
    if not value:
        raise OperatorError(f"{name}: the value is empty", "`moor secrets unset` deletes one.")
    if size > VALUE_MAX_BYTES:
        raise OperatorError(f"{name}: {size} bytes; Secrets Manager takes {VALUE_MAX_BYTES}")
    if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise OperatorError(f"{name}: the value holds NUL, or is not UTF-8")


def put(aws: Aws, name: str, value: str) -> None:
    """Make the stage's secret with this value, or give it the value; one that is being deleted is
    kept.

    It is encrypted with AWS's own key of Secrets Manager: that of the stage does not exist before
    the first deploy, which needs the secret, and goes with the stage, which the secret outlives.
    """
    id = aws.names.secret(name)
    state = look(aws, Place(SECRETS_MANAGER, id)).state
    if state is State.MISSING:
        there = aws.target.stage
        aws.call(
            "secretsmanager", "create_secret", Name=id, SecretString=value,
            Description=f"{name} of {aws.names.prefix}; `moor secrets` keeps it",
            Tags=[{"Key": "app", "Value": there.app_name}, {"Key": "stage", "Value": there.stage}],
        )  # fmt: skip
        return
    if state is State.DELETED:
        aws.call("secretsmanager", "restore_secret", SecretId=id)
    aws.call("secretsmanager", "put_secret_value", SecretId=id, SecretString=value)


def delete(aws: Aws, name: str) -> None:
    """Delete it; within the recovery window `put` brings it back."""
    aws.call(
        "secretsmanager", "delete_secret",
        SecretId=aws.names.secret(name), RecoveryWindowInDays=RECOVERY_DAYS,
    )  # fmt: skip
