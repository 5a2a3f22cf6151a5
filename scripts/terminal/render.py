"""Escaped and coloured text for the operator's terminal: steps, log lines, errors."""

import os
import re
import signal
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator, Mapping
from io import TextIOWrapper

from scripts.errors import OperatorError
from service.escape import escape

BOLD, DIM, RED, YELLOW, RESET = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
PROCESS_COLOURS = {"api": "\x1b[36m", "worker": "\x1b[35m", "migrate": "\x1b[33m"}
# The colours of our own log lines. Other escape sequences could hide text.
COLOUR = re.compile(r"(\x1b\[(?:(?:[0-2]|3[1-7]|39|9[1-7])(?:;(?=[0-9])|(?=m)))*m)")
PREFIX_WIDTH = max(map(len, PROCESS_COLOURS))
BLOCK = "\n\t"  # not escaped in a text of several lines


class Shown(str):
    """Text that is safe to print: escaped, with our own colours.

    A string that is made from it is a plain `str` again, which is escaped when it is printed.
    """

    __slots__ = ()


def shown(text: str, *, keep: str = "") -> Shown:
    """The text with every control character escaped; `keep` as in `escape`."""
    return text if isinstance(text, Shown) else Shown(escape(text, keep=keep))


def paint(text: str, colour: str, *, is_coloured: bool = True) -> Shown:
    """The text, escaped and in that colour."""
    return Shown(f"{colour}{shown(text)}{RESET}") if is_coloured else shown(text)


def join(between: str, parts: Iterable[str]) -> Shown:
    """The parts, escaped unless they are `Shown`, with `between` as it is."""
    return Shown(between.join(shown(part) for part in parts))


def indent(text: str, blanks: int) -> Shown:
    """A text of several lines, indented so that none looks like a line of ours."""
    return Shown(textwrap.indent(shown(text.rstrip(), keep=BLOCK), " " * blanks))


def shows_colours(env: Mapping[str, str]) -> bool:
    """Is standard output a terminal that shows colours, and NO_COLOR not set?"""
    plain = env.get("NO_COLOR") or env.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def error_lines(error: OperatorError, *, is_coloured: bool = False) -> Iterator[Shown]:
    """The lines of an error and then of its hint."""
    first, _, rest = str(error).partition("\n")
    yield join(" ", (paint("error:", RED, is_coloured=is_coloured), first))
    if rest:
        yield indent(rest, 4)
    if error.hint:
        yield indent(error.hint, 2)


class Screen:
    """Standard output, written line by line from any thread."""

    def __init__(self, env: Mapping[str, str]) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a process may log what we cannot show
        self._is_coloured = shows_colours(env)
        self._lock = threading.RLock()  # a signal handler may print while its own thread does

    def say(self, text: str = "") -> None:
        self._write(shown(text))

    def title(self, text: str) -> None:
        self._write(self._paint(text, BOLD))

    def step(self, text: str, seconds: float) -> None:
        """Print a step that is done, and how long it took."""
        self._write(join(" ", (text, self._paint(f"({seconds:.1f} s)", DIM))))

    def line(self, process: str, text: str) -> None:
        """Print a line of a process's log, with its own colours."""
        prefix = self._paint(f"{process:<{PREFIX_WIDTH}} |", PROCESS_COLOURS.get(process, DIM))
        parts = COLOUR.split(text)  # every other one is a colour
        parts[1::2] = map(Shown, parts[1::2] if self._is_coloured else [""] * (len(parts) // 2))
        self._write(join(" ", (prefix, join("", parts))))

    def fail(self, error: OperatorError) -> None:
        for line in error_lines(error, is_coloured=self._is_coloured):
            self._write(line)

    def _paint(self, text: str, colour: str) -> Shown:
        return paint(text, colour, is_coloured=self._is_coloured)

    def _write(self, text: Shown) -> None:
        with self._lock:
            try:
                print(text, flush=True)
            except OSError:
                # The reader has gone (`make worker | head`, a closed terminal): stop by SIGTERM.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                os.kill(os.getpid(), signal.SIGTERM)
