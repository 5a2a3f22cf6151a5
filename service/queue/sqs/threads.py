"""Runs blocking calls in threads."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(
    call: Callable[..., T], *arguments: Any, on_unwanted: Callable[[T], None] | None = None
) -> T:
    """The result of `call`, or `on_unwanted(result)` where the caller was cancelled meanwhile.

    The thread is a daemon, because a long poll must not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def hand_over(result: T | None, error: BaseException | None) -> None:
        if future.done():
            if error is None and on_unwanted:
                threading.Thread(target=on_unwanted, args=[result], daemon=True).start()
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = call(*arguments)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(hand_over, result, error)

    threading.Thread(target=run, daemon=True, name="call").start()
    return await future
