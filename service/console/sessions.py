"""Who is signed in to the console: sessions, and the links that begin one."""

import hashlib
import secrets
from dataclasses import dataclass

import asyncpg

SESSION_SECONDS = 12 * 3600
LINK_SECONDS = 60
WHO_MAX_CHARACTERS = 100


@dataclass(frozen=True)
class Visitor:
    """Somebody who is signed in, with one of two roles: to look, or also to act."""

    who: str
    may_act: bool
    is_signed_in: bool = True  # False on a developer's machine, where nobody has to


async def make_link(pool: asyncpg.Pool, visitor: Visitor) -> str:
    """The token of a link that signs this person in once, within a minute."""
    return await _keep(pool, visitor, LINK_SECONDS, is_link=True)


async def follow_link(pool: asyncpg.Pool, token: str) -> str | None:
    """The cookie of a new session; None where the link was used before, is too old or made up."""
    row = await pool.fetchrow(
        "DELETE FROM console_sessions WHERE id = $1 AND is_link AND expires_at > clock_timestamp()"
        " RETURNING who, may_act",
        _id(token),
    )
    return await begin(pool, Visitor(**row)) if row else None


async def begin(pool: asyncpg.Pool, visitor: Visitor) -> str:
    """Begin a session. Returns its cookie, which is kept nowhere."""
    await pool.execute("DELETE FROM console_sessions WHERE expires_at < clock_timestamp()")
    return await _keep(pool, visitor, SESSION_SECONDS, is_link=False)


async def find(pool: asyncpg.Pool, cookie: str) -> Visitor | None:
    """Who has that cookie; None where the session has ended."""
    row = await pool.fetchrow(
        "SELECT who, may_act FROM console_sessions"
        " WHERE id = $1 AND NOT is_link AND expires_at > clock_timestamp()",
        _id(cookie),
    )
    return Visitor(**row) if row else None


async def end(pool: asyncpg.Pool, cookie: str) -> None:
    """End the session of that cookie."""
    await pool.execute("DELETE FROM console_sessions WHERE id = $1", _id(cookie))


async def _keep(pool: asyncpg.Pool, visitor: Visitor, seconds: int, *, is_link: bool) -> str:
    token = secrets.token_urlsafe(32)
    await pool.execute(
        "INSERT INTO console_sessions (id, who, may_act, is_link, expires_at)"
        " VALUES ($1, $2, $3, $4, clock_timestamp() + $5 * INTERVAL '1 second')",
        _id(token), visitor.who, visitor.may_act, is_link, seconds,
    )  # fmt: skip
    return token


def _id(token: str) -> bytes:
    """What the database holds of a token: whoever reads a backup cannot sign in with it."""
    return hashlib.sha256(token.encode()).digest()
