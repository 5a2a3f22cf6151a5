"""Ctrl-C at any moment ends a command with 130, and without a traceback."""

import signal

import pytest

from scripts import cli
from scripts.cli import INTERRUPTED, main
from scripts.terminal import interrupt


def interrupted_import(*_: object, **__: object) -> int:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:  # as an extension module does that calls Python
        raise TypeError("expected a message argument") from error
    return 0


def wrong_import(*_: object, **__: object) -> int:
    raise TypeError("a mistake of ours")


@pytest.fixture(autouse=True)
def nothing_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "_heard", [])


def test_ctrl_c_that_became_another_error_is_still_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", interrupted_import)

    assert main(["status"]) == INTERRUPTED


def test_an_error_that_nobody_asked_for_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", wrong_import)

    with pytest.raises(TypeError, match="a mistake of ours"):
        main(["status"])
