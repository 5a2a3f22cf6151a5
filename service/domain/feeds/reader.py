"""Reads feeds in a process of its own, because a bad feed can keep the parser busy for an hour.

A thread cannot be stopped, and would block the other jobs and the end of the worker.
"""

import asyncio
import os
import resource
import sys
import threading
import time
from pathlib import Path

import msgspec

import service
from service.domain.feeds.fetch import Answer, FeedError
from service.domain.feeds.reading import Feed, read_feed

MEMORY_MAX_BYTES = 400 * 1024 * 1024  # a good feed of 5 MB took 300 MB
TOO_MUCH = "needs too much memory to be read"
READ_SECONDS = 60  # for one feed; a good one of 5 MB took 10 s
ROOT = Path(service.__file__).parents[1]


class Reader:
    """Reads one feed at a time, because the parser may need 400 MB."""

    def __init__(
        self, *, seconds: int = READ_SECONDS, memory_bytes: int = MEMORY_MAX_BYTES
    ) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._lock = asyncio.Lock()

    async def read(self, answer: Answer) -> Feed:
        """The feed in an answer. Raises `FeedError`, also for a feed that takes too long."""
        async with self._lock:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__, str(self._seconds), str(self._memory_bytes)),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                # It parses untrusted input, so it gets no secret of this process.
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                start_new_session=True,  # so that a Ctrl-C in the terminal does not reach it
            )
            try:
                async with asyncio.timeout(self._seconds):
                    found, _ = await child.communicate(msgspec.msgpack.encode(answer))
            except TimeoutError:
                raise FeedError(f"cannot be read within {self._seconds} s") from None
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
        if child.returncode:
            why = found.decode() if child.returncode == 1 else ""
            raise FeedError(why or "cannot be read")
        return msgspec.msgpack.decode(found, type=Feed)


def main(seconds: int, memory_bytes: int) -> int:
    """Read an `Answer` from stdin and write its `Feed` to stdout; or the reason, and return 1."""
    # in case the worker that waits for it is killed
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    _bound_memory(memory_bytes)
    try:
        feed = read_feed(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Answer))
    except MemoryError:
        sys.stdout.write(TOO_MUCH)
        return 1
    except FeedError as error:
        is_memory = isinstance(error.__cause__, MemoryError)
        sys.stdout.write(TOO_MUCH if is_memory else str(error))
        return 1
    sys.stdout.buffer.write(msgspec.msgpack.encode(feed))
    return 0


def _bound_memory(size: int) -> None:
    if sys.platform != "darwin":
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        return

    # macOS accepts that limit and does not enforce it.
    def watch() -> None:
        while resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < size:
            time.sleep(0.05)
        os.write(1, TOO_MUCH.encode())
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
