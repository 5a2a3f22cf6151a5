"""What a reading command answers: one value with two faces, a table for people and JSON."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

DASH = "-"  # in a table, for what there is nothing to say about


def print_json(value: Any) -> None:
    """Dataclasses as objects, times as ISO 8601, to standard output."""
    print(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns to standard output; no frames, so that it can be cut and pasted."""
    print_screen(make_table(columns, rows))


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Any:
    """The table alone, to be part of a screen."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, because what comes from outside is never markup
        table.add_row(*(Text(DASH if cell in (None, "") else str(cell)) for cell in row))
    return table


def print_screen(screen: Any) -> None:
    """Anything that Rich can show, to standard output."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console(highlight=False).print(screen)
        return
    # A pipe has no width: nothing is folded there, and nothing is filled up with blanks.
    console = Console(width=10_000, highlight=False)
    with console.capture() as captured:
        console.print(screen, soft_wrap=True)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_line(text: str) -> None:
    """One line of a stream to standard output, at once."""
    print(text, flush=True)


def write(data: bytes) -> None:
    """Part of a stream to standard output as it is, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """To the operator, on standard error: what is being done, and what to do next."""
    print(text, file=sys.stderr, flush=True)


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
    raise TypeError(f"{type(value).__name__} has no JSON face")
