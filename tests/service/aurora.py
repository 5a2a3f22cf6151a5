"""A Postgres like a stage's Aurora: it needs passwords, and its owner is no superuser."""

from dataclasses import dataclass, replace
from urllib.parse import quote

import asyncpg

from scripts.host.postgres import HOST, Postgres
from service.database_user import DatabaseUser
from service.testing.databases import execute

OWNER_PASSWORD = "owner-/%:w0rd"
USER_PASSWORD = "user-/%:'w0rd"  # characters that are special in an address or a statement


@dataclass(frozen=True)
class Aurora:
    """One of its databases, its owner and its user; a migration creates the user."""

    server: Postgres
    database: str
    owner: str
    user: str

    def dsn(self, name: str, password: str) -> str:
        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql://{name}{secret}@{HOST}:{self.server.port}/{self.database}"

    @property
    def owner_dsn(self) -> str:
        return self.dsn(self.owner, OWNER_PASSWORD)

    def database_user(self, password: str = USER_PASSWORD) -> DatabaseUser:
        return DatabaseUser(self.dsn(self.user, password))

    async def connect(self, name: str, password: str) -> asyncpg.Connection:
        made: asyncpg.Connection = await asyncpg.connect(self.dsn(name, password))
        return made

    async def as_superuser(self, *statements: str) -> None:
        for statement in statements:
            await execute(self.server.url, statement)

    def beside(self) -> "Aurora":
        """Another user of the same database."""
        return replace(self, user=f"{self.user}_b")
