"""An event loop in a thread of its own, for the twin's HTTP servers."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")

log = logging.getLogger("twin")


class Loop:
    """Runs coroutines from `start` to `stop`, which cancels those that still run."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the loop, wait for it, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        self.do(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


async def logged(work: Coroutine[Any, Any, None]) -> None:
    """Run `work`; an exception goes to the log only."""
    try:
        await work
    except Exception:
        log.exception("a part of the twin has ended")


async def close(runner: web.BaseRunner) -> None:
    """End an HTTP server and all its connections, even those whose client does not read."""
    server = runner.server
    assert server is not None
    for site in list(runner.sites):
        await site.stop()
    await asyncio.sleep(0)  # a connection that was accepted just before has its transport now
    transports = [each.transport for each in server.connections]
    await runner.cleanup()
    for transport in transports:
        if transport is not None:
            transport.abort()
    await asyncio.sleep(0)  # they close their sockets


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
