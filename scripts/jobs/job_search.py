"""Looks for jobs, page by page, until there are enough or it has taken long enough."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from scripts.api import Api
from scripts.clock import Clock
from scripts.terminal.answer import say

PAGE_JOBS = 200  # the most that the API answers at once
LONGEST = timedelta(seconds=30)


def search(api: Api, limit: int, wanted: dict[str, Any], clock: Clock) -> Iterator[dict[str, Any]]:
    """At most `limit` jobs. Where it stops before it has looked at all, it says how far it got."""
    began = clock.now()
    cursor: str | None = None
    while limit > 0:
        page = api.get("jobs", **wanted, cursor=cursor, limit=min(limit, PAGE_JOBS))
        yield from page["items"]
        limit, cursor = limit - len(page["items"]), page["next_cursor"]
        if cursor is None:
            return
        # an API of an earlier release does not say it, and looks at all at once
        searched_until = page.get("searched_until")
        if limit > 0 and searched_until is not None and clock.now() - began > LONGEST:
            at = f"{datetime.fromisoformat(searched_until):%Y-%m-%dT%H:%M:%SZ}"
            say(f"There may be more: looked back to {at}. `--until {at}` goes on from there.")
            return
