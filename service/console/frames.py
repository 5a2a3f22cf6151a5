"""A traceback in parts: the frames of the user's own code, and those around them, to be folded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

FRAME = re.compile(r'^(?P<margin>[\s|+-]*)File "(?P<path>[^"]{1,1000})", line \d+(, in .*)?$')
# Libraries and Python itself.
LIBRARY = re.compile(r"[/\\](?:site-packages|dist-packages|lib[/\\]python[\d.]+)[/\\]|^<frozen ")
# What is around a task: `service` without the domains.
AROUND = re.compile(r"[/\\]service[/\\]")
DOMAIN = re.compile(r"[/\\]service[/\\]domain[/\\]")
LINES_MAX = 2000


@dataclass(frozen=True)
class Part:
    """Lines that belong together; `frames` counts those of a part that is to be folded."""

    text: str
    frames: int = 0


def parts(traceback: str) -> list[Part]:
    """The lines of a traceback, all of them, in order. Any text is one: it may hold no frame."""
    lines = traceback.strip("\n").split("\n", LINES_MAX)
    found: list[Part] = []
    for is_foreign, group in groupby(_frames(lines), lambda each: each[1]):
        frames = [text for text, _ in group]
        found.append(Part("\n".join(frames), len(frames) if is_foreign else 0))
    return found


def _frames(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """Each frame with its source lines, or each other line, and whether it is a foreign frame."""
    frame: list[str] = []
    margin, is_foreign = 0, False
    for line in lines:
        begins = FRAME.match(line)
        if frame and (begins or _indent(line) <= margin):
            yield "\n".join(frame), is_foreign
            frame = []
        if begins:
            frame, margin = [line], len(begins["margin"])
            is_foreign = _is_foreign(begins["path"])
        elif frame:
            frame.append(line)
        else:
            yield line, False
    if frame:
        yield "\n".join(frame), is_foreign


def _is_foreign(path: str) -> bool:
    if LIBRARY.search(path):
        return True
    return bool(AROUND.search(path)) and not DOMAIN.search(path)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" |+-"))
