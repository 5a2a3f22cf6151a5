"""Turns a template and its values into a page; what values hold is always shown as text."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response

from service.contract import CONSOLE_PATH

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Largest first: the first one that fits is shown, with the next one behind it.
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """`950 ms`, `12 s`, `3 min 5 s`, `2 d 4 h`: two units at most."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms" if seconds > 0 else "0 s"
    left = round(seconds)
    parts: list[str] = []
    for size, unit in UNITS:
        count, rest = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
            left = rest
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts))


def count(number: float) -> str:
    """`7`, `1,234`, `56.8 k`, `100 k`, `3.2 M`."""
    for size, unit in ((1e6, "M"), (1e4, "k")):
        if number >= size:
            scaled = number / (1e6 if unit == "M" else 1e3)
            return f"{scaled:.3g} {unit}"
    return f"{number:,.0f}"


def ago(moment: datetime) -> str:
    """How long ago that was, or in how long it is."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {"duration": duration, "count": count, "ago": ago}
STATIC = {path.name: path.read_bytes() for path in sorted((HERE / "static").iterdir())}
# in the addresses of style sheet and script, so that a page never meets those of another release
VERSION = hashlib.sha256(b"".join(STATIC.values())).hexdigest()[:12]
_ENVIRONMENT.globals |= {"console": CONSOLE_PATH, "version": VERSION}


def render(template: str, **values: Any) -> str:
    """The HTML of a template."""
    return _ENVIRONMENT.get_template(template).render(**values)


def html(text: str, status: int = 200, **headers: str) -> Response[str]:
    """The answer with a page. No browser may run or load anything for it that is not ours."""
    return Response(
        text,
        status_code=status,
        media_type="text/html; charset=utf-8",
        # with `no-referrer` a browser would hide a form's origin, by which the API refuses others'
        headers={"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )
