"""Prints what a command answers, as a table for people or as JSON."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from traceback import format_exception
from types import TracebackType
from typing import TYPE_CHECKING, Any

from scripts.errors import OperatorError
from scripts.terminal.render import error_lines, indent, shown
from service.escape import escape, escape_json

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

DASH = "-"  # an empty cell of a table


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print as JSON, dataclasses as objects, times as ISO 8601; in one line if `indent` is None."""
    text = json.dumps(value, default=_plain, indent=indent, ensure_ascii=False)
    print(escape_json(text), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns to standard output, without frames, so that they can be copied."""
    print_screen(make_table(columns, rows))


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Any:
    """The table as a part of a screen."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # As Text, because Rich would read a string as markup.
        table.add_row(*(Text(DASH if cell in (None, "") else shown(str(cell))) for cell in row))
    return table


def make_line(text: str, style: str = "") -> Any:
    """One line as a part of a screen."""
    from rich.text import Text

    return Text(shown(text), style=style)


def print_screen(screen: Any) -> None:
    """Print anything that Rich can show to standard output."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console(highlight=False).print(_Escaped(screen))
        return
    # In a pipe no line is folded, and none ends in blanks.
    console = Console(width=10_000, highlight=False)
    with console.capture() as captured:
        console.print(_Escaped(screen), soft_wrap=True)
    print("\n".join(line.rstrip() for line in captured.get().split("\n")).rstrip("\n"))


@contextmanager
def redrawn(screen: Any) -> Iterator[Callable[[Any], None]]:
    """Shows `screen` in the whole terminal; the yielded function replaces it by another."""
    from rich.live import Live

    with Live(_Escaped(screen), screen=True, auto_refresh=False) as live:
        yield lambda new: live.update(_Escaped(new), refresh=True)


def print_line(text: str) -> None:
    """Print one line to standard output, escaped unless it is `Shown`."""
    print(shown(text), flush=True)


def write(data: bytes) -> None:
    """Write a part of a session to standard output, unescaped: it is meant for a terminal."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """Print a line for the operator to standard error: what is being done, or what to do next."""
    print(shown(text), file=sys.stderr, flush=True)


def fail(error: OperatorError) -> None:
    """Print the error and its hint to standard error."""
    for line in error_lines(error):
        say(line)


def print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A `sys.excepthook` that escapes the traceback, which Python's own does not."""
    say(indent("".join(format_exception(kind, error, trace)), 2))


class _Escaped:
    """Anything that Rich can show, with every text in it escaped."""

    def __init__(self, screen: Any) -> None:
        from rich.text import Text

        # Rich would read a string as markup.
        self._screen = Text(screen) if isinstance(screen, str) else screen

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.segment import Segment

        for segment in console.render(self._screen, options):
            text = segment.text if segment.control else escape(segment.text, keep="\n")
            yield Segment(text, segment.style, segment.control)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case set() | frozenset():
            return sorted(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
            if not field.name.startswith("_")
        }
    raise TypeError(f"{type(value).__name__} has no form in JSON")
