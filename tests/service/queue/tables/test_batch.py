"""Many calls share a statement, and none of them waits for another call."""

import asyncio
from typing import Any

import pytest

from service.queue.tables.batch import LANE_ITEMS, Batch


class Database:
    """Returns the items of each statement doubled, once the test lets it."""

    def __init__(self) -> None:
        self.statements: list[list[int]] = []
        self.gate = asyncio.Event()
        self.is_down = False

    async def run(self, items: list[int]) -> list[int]:
        self.statements.append(items)
        await self.gate.wait()
        if self.is_down:
            raise ConnectionError("away")
        if 13 in items:
            raise ValueError("13 cannot be stored")
        return [2 * item for item in items]


async def _let_tasks_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_idle_batch_sends_at_once_and_later_calls_share_the_next_statement() -> None:
    database = Database()
    batch = Batch(database.run)
    calls = [asyncio.create_task(batch(1))]
    await _let_tasks_run()
    assert database.statements == [[1]]
    calls += [asyncio.create_task(batch(item)) for item in (2, 3, 4)]
    await _let_tasks_run()
    assert database.statements == [[1]], "a statement is in flight: the others wait for it"
    database.gate.set()
    assert await asyncio.gather(*calls) == [2, 4, 6, 8]
    assert database.statements == [[1], [2, 3, 4]]


async def test_one_bad_item_fails_alone() -> None:
    database = Database()
    database.gate.set()
    batch = Batch(database.run)
    calls = [asyncio.create_task(batch(item)) for item in (1, 2, 13, 3)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[:2] == [2, 4]
    assert isinstance(answers[2], ValueError)
    assert answers[3] == 6


async def test_absent_database_is_reported_to_every_caller_without_trying_each() -> None:
    database = Database()
    database.gate.set()
    database.is_down = True
    batch = Batch(database.run)
    answers = await asyncio.gather(*(batch(item) for item in (1, 2, 3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionError] * 3
    assert len(database.statements) <= 2
    database.is_down = False
    assert await batch(4) == 8, "and the batch works again afterwards"


async def test_caller_that_gives_up_does_not_disturb_the_others() -> None:
    database = Database()
    batch = Batch(database.run)
    impatient, patient = asyncio.create_task(batch(1)), asyncio.create_task(batch(2))
    await _let_tasks_run()
    impatient.cancel()
    database.gate.set()
    assert await patient == 4
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await batch(3) == 6


async def test_statement_is_bounded() -> None:
    database = Database()
    database.gate.set()
    batch = Batch(database.run, max_items=10)
    await asyncio.gather(*(batch(100 + item) for item in range(35)))
    assert max(len(items) for items in database.statements) == 10


async def test_second_lane_opens_beside_a_slow_statement() -> None:
    database = Database()
    batch = Batch(database.run, lanes=2, slow_seconds=1.0)
    calls = [asyncio.create_task(batch(1))]
    await _let_tasks_run()
    calls.append(asyncio.create_task(batch(2)))
    await _let_tasks_run()
    calls.append(asyncio.create_task(batch(3)))
    await _let_tasks_run()
    assert database.statements == [[1]], "it may be answered in a moment"
    await asyncio.sleep(1.1)
    assert database.statements == [[1], [2, 3]], "nobody has to come after them"
    calls.append(asyncio.create_task(batch(4)))
    await _let_tasks_run()
    assert len(database.statements) == 2, "no third lane"
    database.gate.set()
    assert await asyncio.gather(*calls) == [2, 4, 6, 8]


@pytest.mark.parametrize("waiting", [LANE_ITEMS - 1, LANE_ITEMS])
async def test_statement_that_many_wait_for_is_sent_before_the_callers_of_the_last_go_on(
    waiting: int,
) -> None:
    database = Database()
    batch = Batch(database.run, lanes=2, slow_seconds=60)
    sent: list[int] = []  # how many statements were sent when a call of the first went on

    async def first(item: int) -> None:
        await batch(item)
        sent.append(len(database.statements))

    calls: list[asyncio.Task[Any]] = [asyncio.create_task(first(item)) for item in (1, 2)]
    await _let_tasks_run()
    calls += [asyncio.create_task(batch(item)) for item in range(100, 100 + waiting)]
    await _let_tasks_run()
    database.gate.set()
    await asyncio.gather(*calls)
    assert sent == [1 + (waiting == LANE_ITEMS)] * 2


async def test_call_in_the_turn_in_which_a_statement_ends_is_sent() -> None:
    database = Database()
    database.gate.set()
    batch = Batch(database.run)

    async def one_after_the_other() -> list[int]:
        return [await batch(item) for item in range(100, 300)]

    answers = await asyncio.wait_for(
        asyncio.gather(*(one_after_the_other() for _ in range(5))), timeout=10
    )
    assert answers == [[2 * item for item in range(100, 300)]] * 5
