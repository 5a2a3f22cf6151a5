"""A model of who holds which job, run against the engine's statements in Postgres.

Workers claim, write outcomes, die, are cut off, and rescue one another's jobs. Each statement is a
transaction of its own connection that stays open while others run. Then it commits, is cut off, or
commits and its answer is lost. One of two jobs of a group that start at once is refused by an
index. What comes next is drawn by a seed. How statements wait for each other's locks is Postgres's
own business, so there is no model of that.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from service.db import QUEUE_SESSION
from service.queue.postgres import claims
from service.queue.postgres import statements as sql
from service.queue.tables import table_statements
from tests.service.queue.postgres.places import misplaced

QUEUE = "default"
OPEN_MAX = 4  # transactions at once
PATIENCE_SECONDS = 0.005  # a statement that takes longer waits for the lock of another
ROUNDS_MAX = 30  # until all is over, once nothing more goes wrong
FATES = ("commit", "commit", "commit", "commit", "answer lost", "cut off")
LIVE = ("queued", "active", "aborting")
Rows = Sequence[Mapping[str, Any]]


@dataclass(eq=False)
class Worker:
    """What a worker process knows."""

    id: str
    held: dict[str, int] = field(default_factory=dict)  # the lease of each job that it runs
    # The same from before its lease expired. It goes on with them and cannot know that others may.
    doubtful: dict[str, int] = field(default_factory=dict)
    claims: dict[int, dict[str, int]] = field(default_factory=dict)  # what each has started
    ended: set[str] = field(default_factory=set)  # it runs them no more, and has sent an outcome
    is_cut_off: bool = False  # its lease has expired, so it claims nothing


@dataclass(eq=False)
class Sent:
    """A statement on its way; `note` takes its rows once they are committed."""

    worker: Worker | None
    connection: asyncpg.Connection
    transaction: Any
    rows: "asyncio.Task[Any]"
    note: Callable[[Rows], None]


def text_of(statement: str) -> str:
    """The SQL of the engine's statement of that name."""
    return str(vars(sql).get(statement) or getattr(claims, statement))


class Protocol:
    """Some steps of two workers and their callers, in an empty queue.

    `statements` replaces some of the engine's. Raises `AssertionError` where a job is lost, runs
    twice at once or is complete twice, with the steps up to there.
    """

    def __init__(self, seed: int, statements: Mapping[str, str]) -> None:
        self._random = random.Random(seed)
        self._statements = statements
        self._names = 0
        self._workers: list[Worker] = []
        self._sent: list[Sent] = []
        self._accepted: set[str] = set()  # jobs whose enqueue was acknowledged
        self._completed: Counter[str] = Counter()
        self._steps: list[str] = []

    async def run(self, dsn: str, steps: int) -> None:
        self._own, *self._free = [
            await asyncpg.connect(dsn, server_settings=QUEUE_SESSION) for _ in range(OPEN_MAX + 1)
        ]
        try:
            await self._own.execute("DELETE FROM saq_jobs")
            await self._own.execute("DELETE FROM queue_workers")
            for _ in range(2):
                await self._start_worker()
            often = {
                self.end: 12, self.claim: 4, self.turn: 2, self.rescue: 4, self.enqueue: 3,
                self.write_outcomes: 2, self.take_over: 2, self.cut_off: 1, self.renew: 1,
                self.abort: 1, self.look: 1, self.die: 1,
            }  # fmt: skip
            for _ in range(steps):
                (step,) = self._random.choices([*often], [*often.values()])
                if not self._free:
                    step = self.end
                self._steps.append(step.__name__)
                await step()
            await self.come_to_an_end()
        except AssertionError as error:
            raise AssertionError(f"{error}, after {' '.join(self._steps)}") from None
        finally:
            for each in self._sent:
                each.rows.cancel()
            for connection in (self._own, *self._free, *(each.connection for each in self._sent)):
                connection.terminate()

    async def enqueue(self) -> None:
        count, group = self._random.randint(1, 3), self._random.choice([None, None, "g"])
        keys = [f"job-{self._next_number()}" for _ in range(count)]
        blobs = [b'{"function":"noop","key":"%s","queue":"default"}' % key.encode() for key in keys]

        def note(rows: Rows) -> None:
            self._accepted |= {row["key"] for row in rows}

        await self._send(
            None, note, "ENQUEUE", keys, blobs, [], [group] * count, [], ["noop"] * count, QUEUE,
            "saq:default", False,
        )  # fmt: skip

    async def claim(self) -> None:
        worker = self._random.choice(self._workers)
        if not worker.is_cut_off:
            await self._claim(worker, self._random.randint(1, 4))

    async def _claim(self, worker: Worker, room: int) -> None:
        known = (worker.doubtful | worker.held).items()
        over = [number for number, jobs in worker.claims.items() if not jobs.items() & known]

        def note(rows: Rows) -> None:
            for number in over:
                worker.claims.pop(number, None)
            self._note_claimed(worker, rows)

        await self._send(worker, note, "CLAIM", QUEUE, room, worker.id, [], False, over, False)

    def _note_claimed(self, worker: Worker, rows: Rows) -> None:
        for row in rows:
            worker.claims.setdefault(row["claim"], {})[row["key"]] = row["lease"]
            key = row["key"]
            others = [
                each.id for each in self._workers if key in each.held and key not in each.ended
            ]
            assert not others, f"{worker.id} got {key}, which runs in {others}"
            worker.held[key] = row["lease"]
            worker.ended.discard(key)

    async def turn(self) -> None:
        """A worker writes the outcomes of all its jobs, and claims behind them."""
        worker = self._random.choice(self._workers)
        keys = [*dict.fromkeys([*worker.held, *worker.doubtful])]
        if not keys or worker.is_cut_off:
            return
        arguments, note = self._outcomes(worker, keys, "complete")

        def note_both(rows: Rows) -> None:
            note([{"key": key} for key in rows[0]["keys"] or ()])
            self._note_claimed(worker, rows[1:])

        claim: tuple[Any, ...] = (
            QUEUE,
            self._random.randint(1, 4),
            worker.id,
            [],
            False,
            *claims.FIRST,
        )
        await self._send(worker, note_both, "TURN", *arguments, *claim)

    async def write_outcomes(self) -> None:
        """Of some jobs of a worker, which holds each until the answer has come."""
        worker = self._random.choice(self._workers)
        known = [*worker.held, *worker.doubtful]
        keys = [key for key in dict.fromkeys(known) if self._random.random() < 0.5]
        if keys:
            status = self._random.choice(["complete", "complete", "failed", "queued"])
            await self._write_outcomes(worker, keys, status)

    async def _write_outcomes(self, worker: Worker, keys: list[str], status: str) -> None:
        arguments, note = self._outcomes(worker, keys, status)
        await self._send(worker, note, "WRITE_OUTCOMES", *arguments)

    def _outcomes(
        self, worker: Worker, keys: list[str], status: str
    ) -> tuple[tuple[object, ...], Callable[[Rows], None]]:
        """The arguments of WRITE_OUTCOMES, and what takes its rows."""
        worker.ended |= {*keys}
        leases = [(worker.doubtful | worker.held)[key] for key in keys]

        def note(rows: Rows) -> None:
            ended = {row["key"] for row in rows}
            for other in self._workers:
                both = ended & (other.held.keys() - other.ended)
                assert other is worker or not both, f"{worker.id} ended {both} of {other.id}"
            if status == "complete":
                self._completed.update(ended)
                twice = [key for key, times in self._completed.items() if times > 1]
                assert not twice, f"{twice} are complete twice"
            for key, lease in zip(keys, leases, strict=True):
                for jobs in (worker.held, worker.doubtful):
                    if jobs.get(key) == lease:
                        del jobs[key]

        count = len(keys)
        return (
            (keys, leases, [status] * count, [], [None] * count, [], [], [600] * count),
            note,
        )

    async def abort(self) -> None:
        if self._accepted:
            key = self._random.choice(sorted(self._accepted))
            await self._send(None, lambda _: None, "ABORT", key, QUEUE, "somebody asked for it")

    async def look(self) -> None:
        """A worker reads which rows are its own, but never while it claims."""
        worker = self._random.choice(self._workers)
        if not any(each.worker is worker for each in self._sent):
            await self._look(worker)

    async def _look(self, worker: Worker) -> None:
        rows = await self._own.fetch(self._text("OWNED"), [QUEUE], worker.id)
        for row in rows:
            if row["key"] not in worker.held | worker.doubtful:  # the answer to its claim was lost
                worker.held[row["key"]] = row["lease"]
                await self._write_now(worker, row["key"], "queued")
            elif row["status"] == "aborting":
                await self._write_now(worker, row["key"], "aborted")

    async def _write_now(self, worker: Worker, key: str, status: str) -> None:
        if self._free:
            await self._write_outcomes(worker, [key], status)
            await self._finish(self._sent[-1])

    async def die(self) -> None:
        """A worker is killed with its statements on their way, and its lease expires."""
        worker = self._random.choice(self._workers)
        for each in [each for each in self._sent if each.worker is worker]:
            await self._finish(each, self._random.choice(["answer lost", "cut off"]))
        self._workers.remove(worker)
        await self._expire(worker)
        await self._start_worker()

    async def cut_off(self) -> None:
        """A worker's lease expires while it runs jobs."""
        worker = self._random.choice(self._workers)
        if worker.held and not any(each.worker is worker for each in self._sent):
            worker.doubtful |= worker.held
            worker.held, worker.is_cut_off = {}, True
            await self._expire(worker)

    async def take_over(self) -> None:
        """The same, and the other gets its jobs before it can know."""
        await self.cut_off()
        alive = [each for each in self._workers if not each.is_cut_off]
        if alive and len(self._free) == OPEN_MAX:
            await self._rescue(alive[0])
            await self._finish(self._sent[-1])
            await self._claim(alive[0], 50)
            await self._finish(self._sent[-1])

    async def renew(self) -> None:
        """The worker that was cut off renews its lease."""
        for worker in self._workers:
            if worker.is_cut_off:
                await self._renew(worker)

    async def _expire(self, worker: Worker) -> None:
        await self._own.execute(
            "UPDATE queue_workers SET expires_at = now() - interval '1 s' WHERE id = $1", worker.id
        )

    async def _renew(self, worker: Worker) -> None:
        await self._own.fetch(
            table_statements.RENEW, worker.id, QUEUE, 3600.0, [QUEUE], "", 1, True
        )
        worker.is_cut_off = False

    async def rescue(self) -> None:
        await self._rescue(self._random.choice(self._workers))

    async def _rescue(self, worker: Worker) -> None:
        await self._send(None, lambda _: None, "RESCUE", worker.id, [QUEUE], 0.0)

    async def end(self) -> None:
        """A statement on its way comes to its end."""
        answered = [each for each in self._sent if each.rows.done()]
        if answered:
            await self._end(self._random.choice(answered), self._random.choice(FATES))

    async def come_to_an_end(self) -> None:
        """Nothing more goes wrong. Then every job comes to its end."""
        live: set[str] = set()
        await self.renew()
        for _ in range(ROUNDS_MAX):
            while self._sent:
                await self._finish(self._sent[0])
            for worker in self._workers:
                await self._rescue(worker)
                await self._finish(self._sent[0])
                await self._look(worker)
                await self._claim(worker, 50)
                await self._finish(self._sent[0])
                if known := sorted(worker.held.keys() | worker.doubtful.keys()):
                    await self._write_outcomes(worker, known, "complete")
                    await self._finish(self._sent[0])
            rows = await self._own.fetch("SELECT key, status FROM saq_jobs")
            live = {row["key"] for row in rows if row["status"] in LIVE}
            if not live:
                break
        gone = self._accepted - {row["key"] for row in rows}
        assert not live | gone, f"{sorted(live | gone)} never came to an end"
        assert not (left := await misplaced(self._own)), f"{left} never came to an end"

    def _next_number(self) -> int:
        self._names += 1
        return self._names

    async def _start_worker(self) -> None:
        worker = Worker(f"worker-{self._next_number()}")
        await self._renew(worker)
        self._workers.append(worker)

    def _text(self, statement: str) -> str:
        return self._statements.get(statement) or text_of(statement)

    async def _send(
        self,
        worker: Worker | None,
        note: Callable[[Rows], None],
        statement: str,
        *arguments: object,
    ) -> None:
        connection = self._free.pop()
        transaction = connection.transaction()
        await transaction.start()
        rows = asyncio.create_task(connection.fetch(self._text(statement), *arguments))
        await asyncio.wait([rows], timeout=PATIENCE_SECONDS)
        self._sent.append(Sent(worker, connection, transaction, rows, note))

    async def _end(self, it: Sent, fate: str) -> None:
        self._sent.remove(it)
        rows: Rows = []
        try:
            rows = await it.rows
        except (asyncpg.LockNotAvailableError, asyncpg.UniqueViolationError):
            fate = "cut off"
        if fate == "cut off":
            await it.transaction.rollback()
        else:
            await it.transaction.commit()
        self._free.append(it.connection)
        if fate == "commit" and (it.worker is None or it.worker in self._workers):
            it.note(rows)

    async def _finish(self, it: Sent, fate: str = "commit") -> None:
        """End a statement now; those that it waits for come to their end before."""
        if it not in self._sent:
            return
        for each in [each for each in self._sent if each is not it and each.rows.done()]:
            if it.rows.done():
                break
            await self._end(each, "commit")
            await asyncio.wait([it.rows], timeout=PATIENCE_SECONDS)
        await asyncio.wait([it.rows])
        await self._end(it, fate)
