"""What CHANGELOG.md says between two releases."""

import re
from dataclasses import dataclass

HEADING = re.compile(r"^## v?(\d+\.\d+\.\d+).*\n", re.MULTILINE)
UPGRADING = re.compile(r"^### Upgrading\s*\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Section:
    """The entries of one release: what everybody who upgrades has to know or do, and the others."""

    release: str
    upgrading: str
    rest: str


def order(release: str) -> tuple[int, ...]:
    """To sort releases by: 0.10.0 comes after 0.9.0. Raises `ValueError` for another word."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", release):
        raise ValueError(f"{release!r} is not a release such as 0.3.0")
    return tuple(int(part) for part in release.split("."))


def sections(text: str, *, after: str, last: str) -> list[Section]:
    """The sections after one release and up to another, in the order in which they are taken."""
    parts = HEADING.split(text)[1:]
    found = []
    for release, body in zip(parts[::2], parts[1::2], strict=True):
        if order(after) < order(release) <= order(last):
            match = UPGRADING.search(body)
            rest = UPGRADING.sub("", body).strip("\n")
            found.append(Section(release, match[1].strip("\n") if match else "", rest))
    return sorted(found, key=lambda section: order(section.release))
