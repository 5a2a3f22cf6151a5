"""How Postgres reads what a statement asks for."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import asyncpg


async def read_plan(pool: asyncpg.Pool, statement: str, arguments: Sequence[Any]) -> str:
    """The indexes that it uses, or tables that it reads whole, and how many pages of 8 KiB."""
    rows = await pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)
    (plan,) = json.loads(rows[0][0])
    scans = {node.get("Index Name") or node.get("Relation Name") for node in _nodes(plan["Plan"])}
    buffers = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    return f"{', '.join(sorted(filter(None, scans)))}: {buffers} pages"


async def time_statement(pool: asyncpg.Pool, statement: str, arguments: Sequence[Any]) -> float:
    """Milliseconds that the statement takes, the second time."""
    for _ in range(2):
        began = time.monotonic_ns()
        await pool.fetch(statement, *arguments)
    return (time.monotonic_ns() - began) / 1e6


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
