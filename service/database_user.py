"""The database user of API and worker. `migrate`, as the owner of the database, creates it.

It may only read and write rows, not create, alter, truncate or drop a table, which limits what an
injected statement could do.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import asyncpg
import structlog

from service.db import CONNECT_TIMEOUT_SECONDS

ITERATIONS = 4096  # Postgres's own number

log = structlog.stdlib.get_logger("migrate")


class DatabaseUserError(Exception):
    """The database user cannot be created."""


IS_PREPARED = """
    SELECT to_regclass('moorage_migrations') IS NOT NULL
        AND has_table_privilege($1, to_regclass('moorage_migrations'), 'SELECT')
"""
# For tables of later migrations. Only once in a database, so that a migration may revoke a right.
FROM_NOW_ON = """
    ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {user};
    ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT ON SEQUENCES TO {user};
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {user};
"""
# For everything that exists already; views and partitions count as tables.
TO_WHAT_IS_THERE = """
    WITH schemas AS (
        SELECT oid, nspname, nspowner FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    ), relations AS (
        SELECT c.oid, relkind, relnamespace FROM pg_class c
        WHERE relnamespace IN (SELECT oid FROM schemas) AND pg_has_role(relowner, 'USAGE')
    )
    SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), $1::name)
        WHERE NOT has_database_privilege($1, current_database(), 'CONNECT')
    UNION ALL SELECT format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', nspname)
        FROM schemas WHERE has_schema_privilege($1, oid, 'CREATE')
    UNION ALL SELECT format('GRANT USAGE ON SCHEMA %I TO %I', nspname, $1)
        FROM schemas WHERE NOT has_schema_privilege($1, oid, 'USAGE')
            AND (pg_has_role(nspowner, 'USAGE') OR oid IN (SELECT relnamespace FROM relations))
    UNION ALL SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', oid::regclass, $1)
        FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL SELECT format('GRANT USAGE, SELECT ON SEQUENCE %s TO %I', oid::regclass, $1)
        FROM relations WHERE relkind = 'S'
"""


@dataclass(frozen=True)
class DatabaseUser:
    """The user in `dsn`, the address that API and worker use.

    `password` returns its newest password; None where the address has it.
    """

    dsn: str
    password: Callable[[], Awaitable[str]] | None = None

    @property
    def name(self) -> str:
        return unquote(urlsplit(self.dsn).username or "")

    async def quoted_name(self, connection: asyncpg.Connection) -> str:
        """The name, quoted for a statement that takes no parameters."""
        name: str = await connection.fetchval("SELECT quote_ident($1)", self.name)
        return name

    async def connect(self) -> asyncpg.Connection | None:
        """A connection with the newest password only; None where it is refused."""
        try:
            made: asyncpg.Connection = await asyncpg.connect(
                self.dsn,
                password=self.password,
                timeout=CONNECT_TIMEOUT_SECONDS,
                server_settings={"application_name": "migrate"},
            )
        except (
            asyncpg.InvalidAuthorizationSpecificationError,  # 28*
            asyncpg.InsufficientPrivilegeError,  # may not CONNECT
        ):
            return None
        return made

    async def newest_password(self) -> str | None:
        if self.password is not None:
            return await self.password()
        written = urlsplit(self.dsn).password
        return written and unquote(written)


async def give_rights(owner: asyncpg.Connection, user: DatabaseUser) -> None:
    """Create the user if needed, and grant it rights on the rows of all tables, also later ones.

    Call it in a transaction of `owner`, before the first table is created.
    """
    quoted = await user.quoted_name(owner)
    if not await _exists(owner, user):
        await owner.execute(f"CREATE ROLE {quoted} LOGIN")
        log.info("made the database user of API and worker", user=user.name)
    if await owner.fetchval(IS_PREPARED, user.name):
        return
    await owner.execute(FROM_NOW_ON.format(user=quoted))
    for (statement,) in await owner.fetch(TO_WHAT_IS_THERE, user.name):
        await owner.execute(statement)


async def set_password(owner: asyncpg.Connection, user: DatabaseUser) -> None:
    """Set the user's password to the newest of its secret, unless Postgres accepts it already.

    Call it in a transaction of `owner` under the migrations' lock: of two processes that set a
    password at once, the older one might win.
    """
    if (connection := await user.connect()) is not None:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
        return
    password = await user.newest_password()
    if password is None:
        return
    verifier = scram_verifier(password)
    await owner.execute(f"ALTER ROLE {await user.quoted_name(owner)} LOGIN PASSWORD '{verifier}'")
    log.info("set the password of the database user", user=user.name)


def scram_verifier(password: str) -> str:
    """What Postgres stores for a password (RFC 5803), so that no log holds the password itself.

    Raises `DatabaseUserError` for a password that is not ASCII.
    """
    if not password.isascii():  # SASLprep (RFC 4013) would change other characters
        raise DatabaseUserError(
            "the password of DATABASE_URL's user may only have ASCII characters"
        )
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (
        base64.b64encode(part).decode() for part in (salt, stored, server)
    )
    return f"SCRAM-SHA-256${ITERATIONS}:{salt_text}${stored_text}:{server_text}"


async def _exists(owner: asyncpg.Connection, user: DatabaseUser) -> bool:
    found: bool = await owner.fetchval(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", user.name
    )
    return found
