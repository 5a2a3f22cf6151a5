"""The numbered SQL files of each owner: the queue, the service, and each domain."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

SERVICE = Path(__file__).parent


class MigrationError(Exception):
    """The files and the database disagree. Nothing of a new database was changed; one in use keeps
    the files that were applied before."""


@dataclass(frozen=True)
class Migration:
    """One numbered SQL file."""

    owner: str  # queue, service, domain/feeds
    version: int
    name: str  # 0001_create_feeds
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def is_stepwise(self) -> bool:
        """Is it for no transaction: does it build an index beside writers, or commit by itself?"""
        return bool(re.search(r"\b(CONCURRENTLY|COMMIT)\b", self._without_comments))

    @property
    def when(self) -> str | None:
        """The SQL condition of its line `-- when: …`; until it is true, a start leaves it out.

        No other file may need such a file.
        """
        found = re.search(r"^-- when: (.+)$", self.sql, re.MULTILINE)
        return found and found[1]

    @property
    def statements(self) -> list[str]:
        """Its statements one by one."""
        found = re.findall(r"(?:\$\$.*?\$\$|[^;])+", self._without_comments, re.DOTALL)
        return [statement for each in found if (statement := each.strip())]

    @property
    def in_a_transaction(self) -> str:
        """The same for a new database, where nobody waits for the end of the transaction."""
        return re.sub(r" CONCURRENTLY\b|\bCOMMIT;", "", self.sql) if self.is_stepwise else self.sql

    @property
    def _without_comments(self) -> str:
        return re.sub(r"--[^\n]*", "", self.sql)

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


def read_migrations(root: Path = SERVICE) -> list[Migration]:
    """The files `NNNN_verb_noun.sql` in their order: the queue's, the service's, each domain's.

    Raises `MigrationError` for a missing or a double number of one owner.
    """
    folders = {"queue": root / "queue/migrations", "service": root / "migrations"}
    for folder in sorted(root.glob("domain/*/migrations")):
        folders[f"domain/{folder.parent.name}"] = folder
    return [
        migration
        for owner, folder in folders.items()
        for migration in _numbered(owner, sorted(folder.glob("*.sql")))
    ]


def _numbered(owner: str, paths: list[Path]) -> list[Migration]:
    found = []
    for wanted, path in enumerate(paths, start=1):
        if not (match := re.fullmatch(r"(\d{4})_[a-z0-9_]+", path.stem)):
            raise MigrationError(f"{owner}/{path.name}: migrations are named NNNN_verb_noun.sql")
        if (version := int(match[1])) != wanted:
            raise MigrationError(
                f"{owner}/{path.name}: expected number {wanted:04}, "
                "because each folder has its own numbers, without a gap"
            )
        found.append(Migration(owner, version, path.stem, path.read_text("utf-8-sig")))
    return found
