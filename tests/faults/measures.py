"""Figures of a row, each held to its bound as soon as it is known."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tests.faults.row import BoundBroken, Row

READY_SECONDS = 30.0


class Measures:
    """What was measured in one run of a row, with one engine and one seed."""

    def __init__(self, row: Row, engine_name: str, seed: int) -> None:
        self.row, self.engine_name, self.seed = row, engine_name, seed
        self.figures: dict[str, str] = {}

    async def wait(
        self, condition: Callable[[], Any], what: str, seconds: float = READY_SECONDS
    ) -> Any:
        """The first true answer, of what is no figure but has to be before the row can go on."""
        deadline = time.monotonic() + seconds
        while True:
            answer = condition()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise BoundBroken(f"{what}: not within {seconds:.0f} s (seed {self.seed})")
            await asyncio.sleep(0.02)

    def note(self, figure: str, value: float) -> None:
        """Record a figure that no bound is set for: it says something about the others."""
        self.figures[figure] = f"{round(value, 2):g}"

    def hold(self, figure: str, value: float, *, is_over: bool = False) -> None:
        """Record a figure; the worst counts. Raises `BoundBroken` where it is over its bound."""
        bound = self.row.bound(figure)
        worst = max(value, float(self.figures.get(figure, "0")))
        self.note(figure, worst)
        if is_over or value > bound:
            self.figures[figure] = f"{'> ' if is_over else ''}{self.figures[figure]}"
            raise BoundBroken(
                f"{self.row.id} {self.engine_name}: {figure} is {self.figures[figure]},"
                f" bound {bound:g} (seed {self.seed})"
            )

    async def time(self, figure: str, condition: Callable[[], Any], *, since: float) -> None:
        """Wait for a condition and hold the seconds it took since then to their bound."""
        patience = self.row.bound(figure) * (3 if self.engine_name == "ours" else 1) + 1
        try:
            await self.wait(condition, figure, since + patience - time.monotonic())
        except BoundBroken:
            self.hold(figure, time.monotonic() - since, is_over=True)
        self.hold(figure, time.monotonic() - since)
