"""Everything that is printed for the operator: steps, the lines of processes, errors."""

import os
import re
import signal
import sys
import threading
from collections.abc import Mapping
from io import TextIOWrapper

from scripts.errors import OperatorError

BOLD, DIM, RED, YELLOW, RESET = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
PROCESS_COLOURS = {"api": "\x1b[36m", "worker": "\x1b[35m", "migrate": "\x1b[33m"}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PREFIX_WIDTH = max(map(len, PROCESS_COLOURS))


def shows_colours(env: Mapping[str, str]) -> bool:
    """Is standard output a terminal, and has nobody said NO_COLOR?"""
    plain = env.get("NO_COLOR") or env.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


class Screen:
    """Standard output, written line by line from any thread."""

    def __init__(self, env: Mapping[str, str]) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a process may log what we cannot show
        self._is_coloured = shows_colours(env)
        self._turn = threading.RLock()  # a signal handler may print while its own thread does

    def say(self, text: str = "") -> None:
        self._write(text)

    def title(self, text: str) -> None:
        self._write(self._paint(text, BOLD))

    def step(self, text: str, seconds: float) -> None:
        """Something is done and took so long."""
        self._write(f"{text} {self._paint(f'({seconds:.1f} s)', DIM)}")

    def line(self, process: str, text: str) -> None:
        """One line of a process's own log."""
        prefix = self._paint(f"{process:<{PREFIX_WIDTH}} |", PROCESS_COLOURS.get(process, DIM))
        self._write(f"{prefix} {text if self._is_coloured else COLOUR.sub('', text)}")

    def fail(self, error: OperatorError) -> None:
        self._write(f"{self._paint('error:', RED)} {error}")
        if error.hint:
            self._write(f"  {error.hint}")

    def _paint(self, text: str, colour: str) -> str:
        return f"{colour}{text}{RESET}" if self._is_coloured else text

    def _write(self, text: str) -> None:
        with self._turn:
            try:
                print(text, flush=True)
            except OSError:
                # The reader is gone (`make worker | head`, a closed terminal): stop as if told to.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                os.kill(os.getpid(), signal.SIGTERM)
