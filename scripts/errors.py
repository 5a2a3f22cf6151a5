"""The errors that end an operator's command, with one exit code for each kind.

    0    done
    1    OperatorError       it failed; a remote command's own exit code is passed on instead
    2    UsageError          an unknown option, a wrong value, or options that do not fit together
    3    NotDeployedError    the stage, or the part of it that is asked for, does not exist
    4    CredentialsError    no AWS credentials, or expired ones
    5    DeniedError         the credentials may not do this
    6    UnreachableError    AWS, the API or the local twin does not answer, or asks to slow down
    7    NotFoundError       no such job, ECS task or deployment
    8    RefusedError        production without --yes, or something would be lost
    9    OverdueError        the change was begun but did not finish in time; it may still finish
    130  (Ctrl-C)

The message says what happened and why, `hint` what to do.
"""


class OperatorError(Exception):
    """The command cannot go on."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(OperatorError):
    """The command was typed wrongly; nothing was done."""

    exit_code = 2


class NotDeployedError(OperatorError):
    """The stage does not exist."""

    exit_code = 3


class CredentialsError(OperatorError):
    """AWS does not know the caller."""

    exit_code = 4


class DeniedError(OperatorError):
    """AWS knows the caller, and refuses."""

    exit_code = 5


class UnreachableError(OperatorError):
    """There is no answer, or not in time."""

    exit_code = 6


class NotFoundError(OperatorError):
    """What was named does not exist."""

    exit_code = 7


class RefusedError(OperatorError):
    """The command could do it and does not, for safety."""

    exit_code = 8


class OverdueError(OperatorError):
    """The change was begun, but did not finish in time."""

    exit_code = 9
