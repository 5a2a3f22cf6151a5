"""Single keys of the terminal, without waiting for Enter."""

import sys
import termios
import time
import tty
from select import select
from types import TracebackType
from typing import Any


class Keyboard:
    """The keys while it is entered. Where standard input is no terminal, no key is ever pressed."""

    def __init__(self) -> None:
        self._before: list[Any] = []

    def __enter__(self) -> "Keyboard":
        if sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def key(self, seconds: float) -> str:
        """The next key within so many seconds, or an empty text."""
        if not self._before:
            time.sleep(seconds)
            return ""
        ready, _, _ = select([sys.stdin], [], [], seconds)
        return sys.stdin.read(1) if ready else ""

    def ask(self, question: str) -> str:
        """What somebody types after that question, with Enter at its end."""
        self._restore()
        try:
            return input(question)
        except EOFError:
            return ""
        finally:
            tty.setcbreak(sys.stdin)

    def _restore(self) -> None:
        if self._before:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
