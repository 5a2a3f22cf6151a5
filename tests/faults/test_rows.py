"""Every row of the fault list: ours keeps its promise, and stock SAQ shows how it can be broken."""

import pytest

from tests.faults.conftest import EnterArena
from tests.faults.engines import Ours, Stock
from tests.faults.row import BoundBroken, Row
from tests.faults.table import ROWS


def named(rows: list[Row]) -> pytest.MarkDecorator:
    """One test for each row, called by its promise."""
    return pytest.mark.parametrize("row", rows, ids=[f"{row.id}: {row.promise}" for row in rows])


@pytest.mark.faults
@named([*ROWS])
async def test_promise_holds(row: Row, enter_arena: EnterArena) -> None:
    async with enter_arena(row, Ours, False) as arena:
        await row.scenario(arena)
    assert arena.figures.keys() >= row.at_most.keys(), "every bound has been measured"


@named([row for row in ROWS if row.is_short])
async def test_promise_holds_in_short(row: Row, enter_arena: EnterArena) -> None:
    async with enter_arena(row, Ours, True) as arena:
        await row.scenario(arena)
    assert arena.figures.keys() >= row.at_most.keys(), "every bound has been measured"


@pytest.mark.faults
@named([row for row in ROWS if row.stock_breaks])
async def test_stock_saq_breaks_it(row: Row, enter_arena: EnterArena) -> None:
    async with enter_arena(row, Stock, False) as arena:
        with pytest.raises(BoundBroken):
            await row.scenario(arena)
