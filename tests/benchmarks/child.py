"""One process of one contender: a worker, or a client that enqueues.

Started by `stand.py` with an order as JSON; prints `ready`, and at its end what it measured.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import uvloop

from tests.benchmarks import contenders
from tests.benchmarks.contender import Producer
from tests.benchmarks.tally import Counter, Tally


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the process is to do."""

    contender: str
    dsn: str
    role: str  # a name in ROLES
    concurrency: int = 1  # jobs at once, or callers
    tally: str = ""
    slot: int = 0
    jobs: int = 0  # enqueue no more than this
    seconds: float = 0.0  # and no longer than this
    batch: int = 0  # jobs in one call
    rate: float = 0.0  # jobs a second

    def dump(self) -> str:
        return json.dumps(asdict(self))


async def work(order: Order) -> None:
    """Run jobs until standard input ends."""
    counter = Counter(Tally(Path(order.tally)), order.slot)
    contender = contenders.load(order.contender)
    async with contender.worker(order.dsn, order.concurrency, counter):
        used = time.process_time()
        say("ready")
        await asyncio.to_thread(sys.stdin.read)
        say(  # before it is stopped: not everybody stops in time
            json.dumps(
                {
                    "cpu_seconds": time.process_time() - used,
                    "rss_bytes": psutil.Process().memory_info().rss,
                    "waits": counter.waits,
                }
            )
        )


async def enqueue(order: Order) -> None:
    """So many callers, each with one job after the other."""
    contender = contenders.load(order.contender)
    async with contender.producer(order.dsn) as producer:
        for _ in range(3):
            await producer.enqueue(0)  # connections and prepared statements
        await _wait_for_start()
        left = order.jobs
        started = time.monotonic()

        async def call() -> None:
            nonlocal left
            while left > 0 and time.monotonic() - started < order.seconds:
                left -= order.batch or 1
                if order.batch:
                    await producer.enqueue_many(order.batch)
                else:
                    await producer.enqueue(0)

        await asyncio.gather(*(call() for _ in range(order.concurrency)))
        seconds = time.monotonic() - started
    say(json.dumps({"jobs": order.jobs - left, "seconds": seconds}))


async def pace(order: Order) -> None:
    """Jobs at a fixed rate, whether the last one has been taken or not; each says when it left."""
    contender = contenders.load(order.contender)
    took: list[int] = []
    calls: set[asyncio.Task[None]] = set()
    async with contender.producer(order.dsn) as producer:
        await _wait_for_start()
        started = time.monotonic()
        for number in range(order.jobs):
            # Evenly spread with jitter, so that nobody's poll falls into step with it.
            due = started + (number + random.random()) / order.rate
            await asyncio.sleep(max(due - time.monotonic(), 0))
            call = asyncio.create_task(_time(producer, took))
            calls.add(call)
            call.add_done_callback(calls.discard)
        await asyncio.gather(*calls)
    seconds = time.monotonic() - started
    say(json.dumps({"jobs": len(took), "seconds": seconds, "calls": took}))


async def _time(producer: Producer, took: list[int]) -> None:
    sent = time.monotonic_ns()
    await producer.enqueue(sent)
    took.append(time.monotonic_ns() - sent)


async def _wait_for_start() -> None:
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


ROLES = {"work": work, "enqueue": enqueue, "pace": pace}


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    contenders.load(order.contender).set_up_logging()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ROLES[order.role](order))


if __name__ == "__main__":
    main()
