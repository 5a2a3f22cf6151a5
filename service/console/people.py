"""People who sign in to the console with a name and a password of their own."""

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from service.console.sessions import Visitor

# OWASP's password storage cheat sheet: N=2^14, r=8, p=5; 16 MiB and a tenth of a second for each.
COST, BLOCK, PARALLEL = 2**14, 8, 5
SALT_BYTES = 16
NOBODY = (b"\0" * SALT_BYTES, b"", False)  # a name that is not known takes as long as one that is
WAITING_MAX = 20  # who sign in at once, before others are asked to try again
_hashing = asyncio.Semaphore(2)
_waiting: set[object] = set()


class TooManyError(Exception):
    """So many sign in that another one would wait for seconds."""


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in."""

    name: str
    may_act: bool
    created_at: datetime


async def add(pool: asyncpg.Pool, name: str, *, may_act: bool) -> str | None:
    """Let somebody sign in. Returns their password, which is kept nowhere; None: a taken name."""
    password, salt = secrets.token_urlsafe(18), secrets.token_bytes(SALT_BYTES)
    row = await pool.fetchrow(
        "INSERT INTO console_people (name, may_act, salt, hash) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (name) DO NOTHING RETURNING name",
        name, may_act, salt, await _hash(password, salt),
    )  # fmt: skip
    return password if row else None


async def remove(pool: asyncpg.Pool, name: str) -> bool:
    """Let them no longer sign in, and end their sessions. False where nobody has that name."""
    found = await pool.fetchrow("DELETE FROM console_people WHERE name = $1 RETURNING name", name)
    await pool.execute("DELETE FROM console_sessions WHERE who = $1", name)
    return found is not None


async def read(pool: asyncpg.Pool) -> list[Person]:
    """Everybody who may sign in, by name."""
    rows = await pool.fetch("SELECT name, may_act, created_at FROM console_people ORDER BY name")
    return [Person(**row) for row in rows]


async def is_known(pool: asyncpg.Pool, name: str) -> bool:
    """May they still sign in?"""
    return bool(await pool.fetchval("SELECT 1 FROM console_people WHERE name = $1", name))


async def visitor_for(pool: asyncpg.Pool, name: str, password: str) -> Visitor | None:
    """The person with that name and password; None where one of both is wrong.

    Raises `TooManyError`.
    """
    if "\0" in name:
        return None
    row = await pool.fetchrow(
        "SELECT salt, hash, may_act FROM console_people WHERE name = $1", name
    )
    salt, wanted, may_act = row or NOBODY
    is_right = hmac.compare_digest(await _hash(password, salt), wanted)
    return Visitor(name, may_act=may_act) if is_right else None


async def _hash(password: str, salt: bytes) -> bytes:
    if len(_waiting) >= WAITING_MAX:
        raise TooManyError
    me = object()
    _waiting.add(me)
    try:
        async with _hashing:
            return await asyncio.to_thread(
                hashlib.scrypt, password.encode(), salt=salt, n=COST, r=BLOCK, p=PARALLEL
            )
    finally:
        _waiting.discard(me)
