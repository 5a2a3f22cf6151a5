"""What stops an operator's command. The message says what happened and why, `hint` what to do."""


class OperatorError(Exception):
    """The command cannot go on."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
