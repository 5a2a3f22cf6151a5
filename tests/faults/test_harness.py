"""The instruments themselves: a checker that finds nothing proves nothing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults import checker
from tests.faults.ledger import Ledger, Run
from tests.faults.measures import Measures
from tests.faults.proxy import Proxy
from tests.faults.row import BoundBroken
from tests.faults.table import ROWS

KILLED, WELL = 1, 2


def run(key: str, pid: int, start: float, end: float | None) -> Run:
    return Run(key, 1, pid, start, end)


def test_acknowledged_job_without_an_end_is_lost() -> None:
    runs = [run("done", WELL, 0, 1), run("begun", WELL, 0, None)]
    assert checker.count_lost(["done", "begun", "never"], runs) == 2


def test_second_end_counts_unless_its_worker_was_hurt() -> None:
    runs = [
        run("a", WELL, 0, 1),
        run("a", WELL, 2, 3),
        run("b", KILLED, 0, 1),
        run("b", WELL, 2, 3),
    ]
    assert checker.count_ended_twice(runs, {KILLED}) == 1
    assert checker.count_ended_twice(runs, set()) == 2


def test_second_start_needs_a_hurt_worker() -> None:
    runs = [run("a", KILLED, 0, None), run("a", WELL, 2, 3), run("a", WELL, 4, None)]
    assert checker.count_unexplained_starts(runs, {KILLED}) == 1


def test_runs_of_a_job_that_overlap_are_found() -> None:
    runs = [run("a", WELL, 0, 5), run("a", WELL, 4, 6), run("b", WELL, 4, 6)]
    assert checker.count_overlaps(runs, set()) == 1


def test_figure_over_its_bound_is_kept_and_raised() -> None:
    measures = Measures(ROWS[0], "ours", 1)
    measures.hold("run_again_s", 19.994)
    with pytest.raises(BoundBroken, match=r"run_again_s is 20\.5, bound 20 \(seed 1\)"):
        measures.hold("run_again_s", 20.5)
    assert measures.figures == {"run_again_s": "20.5"}


def test_worst_figure_of_several_counts() -> None:
    measures = Measures(ROWS[0], "ours", 1)
    measures.hold("run_again_s", 7)
    measures.hold("run_again_s", 3)
    assert measures.figures == {"run_again_s": "7"}


async def test_condition_that_never_comes_true_is_over_its_bound() -> None:
    measures = Measures(ROWS[0], "stock", 1)
    with pytest.raises(BoundBroken, match="> "):
        await measures.time("run_again_s", lambda: False, since=time.monotonic() - 20.9)


def test_ledger_knows_which_runs_have_ended(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    first = ledger.start("a", 1)
    ledger.start("b", 2)
    ledger.end(first)
    assert [(done.key, done.attempt, done.ended_at is not None) for done in ledger.runs()] == [
        ("a", 1, True),
        ("b", 2, False),
    ]


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[Proxy]:
    """A proxy in front of a server that says everything again."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(100):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    proxy = Proxy(("127.0.0.1", server.sockets[0].getsockname()[1]))
    await proxy.start()
    yield proxy
    await proxy.stop()
    server.close()


async def say(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], word: bytes) -> bytes:
    """What comes back within a moment."""
    reader, writer = connection
    writer.write(word)
    try:
        async with asyncio.timeout(0.3):
            return await reader.read(100)
    except TimeoutError:
        return b"nothing"


async def test_frozen_connection_is_silent_until_healed_and_new_ones_pass() -> None:
    async with echo() as proxy:
        old = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await say(old, b"one") == b"one"
        proxy.freeze()
        assert await say(old, b"two") == b"nothing"
        new = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await say(new, b"three") == b"three"
        proxy.heal()
        assert await say(old, b"") == b"two"


async def test_connection_freezes_before_a_word() -> None:
    async with echo() as proxy:
        one = await asyncio.open_connection("127.0.0.1", proxy.port)
        other = await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.freeze_at(b"secret")
        assert await say(one, b"open") == b"open"
        assert await say(one, b"a secret") == b"nothing"
        assert await say(one, b"open") == b"nothing"
        assert await say(other, b"open") == b"open"
        proxy.heal()
        assert await say(one, b"") == b"a secretopen"


async def test_black_hole_takes_new_connections_too() -> None:
    async with echo() as proxy:
        proxy.black_hole()
        new = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await say(new, b"one") == b"nothing"
        proxy.heal()
        assert await say(new, b"") == b"one"


async def test_reset_is_noticed_by_the_client() -> None:
    async with echo() as proxy:
        connection = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await say(connection, b"one") == b"one"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await say(connection, b"two")


async def test_connection_is_cut_after_that_many_bytes() -> None:
    async with echo() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.reset_after(8)
        writer.write(b"12345")
        with contextlib.suppress(ConnectionResetError):
            assert len(await reader.read(100)) <= 3
            assert await reader.read(100) == b""
        await asyncio.sleep(0.05)
        assert proxy.connections == 0
