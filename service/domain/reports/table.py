"""A table as CSV that is safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime

Cell = str | int | float | datetime | None

# What makes a spreadsheet take a text for a formula (OWASP, "CSV Injection").
FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
CONTROL = tuple("\t\r\n")


def csv_bytes(rows: Iterable[Sequence[Cell]]) -> bytes:
    """The rows in UTF-8, as RFC 4180 has them; times in ISO 8601."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_shown(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8")


def _shown(cell: Cell) -> str | int | float | None:
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, str) and (cell.startswith(CONTROL) or cell.lstrip().startswith(FORMULA)):
        return f"'{cell}"
    return cell
