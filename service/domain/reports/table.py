"""A table as CSV that is safe to open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

Cell = str | int | float | datetime | None

# Where a spreadsheet would read a text, or a part of it, as a formula (OWASP, "CSV Injection"). The
# spreadsheet chooses the separator by its language, `;` in much of Europe, and may ignore our
# quotes then. So a cell may begin after any usual separator.
FORMULA = re.compile(
    '(^|[;|\\t\\r\\n])(?=[\\s\\x00-\\x1f"]*[=+@\uff1d\uff0b\uff0d\uff20-])|^(?=[\\t\\r\\n])'
)


def csv_bytes(rows: Iterable[Sequence[Cell]]) -> bytes:
    """The rows as CSV in UTF-8 (RFC 4180), with times in ISO 8601."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_shown(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8")


def _shown(cell: Cell) -> str | int | float | None:
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, str):
        return FORMULA.sub(r"\g<1>'", cell)
    return cell
