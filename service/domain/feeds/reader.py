"""Reads feeds in a process of its own: a bad one can keep the parser busy for an hour.

A thread could not be stopped, and would hold up the other jobs and the end of the worker.
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

MEMORY_MAX_BYTES = 400 * 1024 * 1024  # 5 MB of a well-formed one took 300
TOO_MUCH = "needs too much memory to be read"
READ_SECONDS = 60  # of one feed; 5 MB of a well-formed one took 10 s
ROOT = Path(service.__file__).parents[1]


class Reader:
    """One feed at a time, for the parser may need 400 MB."""

    def __init__(
        self, *, seconds: int = READ_SECONDS, memory_bytes: int = MEMORY_MAX_BYTES
    ) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._turn = asyncio.Lock()

    async def read(self, answer: Answer) -> Feed:
        """What `read_feed` says. Raises `FeedError`, also for one that takes too long."""
        async with self._turn:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__, str(self._seconds), str(self._memory_bytes)),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                # What it parses comes from strangers: no secret of this process is in its reach.
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                start_new_session=True,  # a terminal's Ctrl-C is not for it
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
    """Read an `Answer` from stdin, write the `Feed` to stdout: or why not, and 1."""
    # where the one who waits is killed
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

    # macOS takes that limit and does not hold it.
    def watch() -> None:
        while resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < size:
            time.sleep(0.05)
        os.write(1, TOO_MUCH.encode())
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
