"""Reads feeds in a process of its own: a bad one can keep the parser busy for an hour.

A thread could not be stopped, and would hold up the other jobs and the end of the worker.
"""

import asyncio
import resource
import sys
from pathlib import Path

import msgspec

import service
from service.domain.feeds.fetch import Answer, FeedError
from service.domain.feeds.reading import Feed, read_feed

READ_SECONDS = 60  # of one feed; 5 MB of a well-formed one took 10 s
ROOT = Path(service.__file__).parents[1]


class Reader:
    """One feed at a time, for the parser may need 300 MB."""

    def __init__(self, *, seconds: int = READ_SECONDS) -> None:
        self._seconds = seconds
        self._turn = asyncio.Lock()

    async def read(self, answer: Answer) -> Feed:
        """What `read_feed` says. Raises `FeedError`, also for one that takes too long."""
        async with self._turn:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__, str(self._seconds)),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
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


def main(seconds: int) -> int:
    """Read an `Answer` from stdin, write the `Feed` to stdout: or why not, and 1."""
    # where the one who waits is killed
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        feed = read_feed(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Answer))
    except FeedError as error:
        sys.stdout.write(str(error))
        return 1
    sys.stdout.buffer.write(msgspec.msgpack.encode(feed))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
