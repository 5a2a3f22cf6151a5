"""The worker and the ECS agent beside it: when ECS may stop this ECS task."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import Processes, until
from tests.prefork import Child
from tests.service.conftest import Ledger


class Agent(ThreadingHTTPServer):
    """The agent's route as ECS documents it; `answer` is what it says next."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), AgentHandler)
        self.asked: list[dict[str, Any]] = []
        self.answer: tuple[int, dict[str, Any]] = (200, {"protection": {"ProtectionEnabled": True}})
        self.release = ("shop-worker", "1")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/id"


class AgentHandler(BaseHTTPRequestHandler):
    server: Agent

    def do_PUT(self) -> None:
        assert self.path == "/api/id/task-protection/v1/state"
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(*self.server.answer)

    def do_GET(self) -> None:
        assert self.path == "/v4/id/task"
        self._answer(200, dict(zip(("Family", "Revision"), self.server.release, strict=True)))

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        sent = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def agent() -> Iterator[Agent]:
    server = Agent()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def start(processes: Processes, ledger: Ledger, agent: Agent) -> Child:
    metadata = agent.url.replace("/api/", "/v4/")
    child = processes.start(
        "worker", ECS_AGENT_URI=agent.url, ECS_CONTAINER_METADATA_URI_V4=metadata,
        DRAIN_SECONDS="5",
    )  # fmt: skip
    await ledger.until_event("worker start")
    return child


async def test_ecs_task_is_protected_while_a_long_job_runs_and_released_after(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, agent: Agent
) -> None:
    await start(processes, ledger, agent)
    await queue.enqueue("sleep", seconds=3, timeout=600)
    await until(lambda: agent.asked, seconds=10, what="the agent is asked for protection")
    assert agent.asked == [{"ProtectionEnabled": True, "ExpiresInMinutes": 17}]
    await ledger.until_event("end")
    await until(lambda: len(agent.asked) > 1, seconds=15, what="the protection is given up")
    assert agent.asked[1:] == [{"ProtectionEnabled": False}]


async def test_short_jobs_ask_for_nothing(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, agent: Agent
) -> None:
    await start(processes, ledger, agent)
    await queue.enqueue("sleep", seconds=3, timeout=4)
    await ledger.until_event("end")
    assert agent.asked == []


async def test_worker_that_a_deployment_waits_for_finishes_its_job_takes_no_other_and_ends(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, agent: Agent
) -> None:
    agent.answer = (200, {"failure": {"Reason": "DEPLOYMENT_BLOCKED"}})
    child = await start(processes, ledger, agent)
    job = await queue.enqueue("sleep", seconds=5, timeout=600)
    assert job is not None
    await until(lambda: agent.asked, seconds=10, what="the agent is asked for protection")
    other = await queue.enqueue("sleep", seconds=0)
    assert other is not None
    await until(lambda: child.poll() is not None, seconds=20, what="the worker has ended")
    assert child.returncode == 0
    assert await ledger.status(job.key) == "complete"
    assert await ledger.status(other.key) == "queued"


async def test_agent_that_fails_is_asked_again_and_harms_no_job(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, agent: Agent
) -> None:
    agent.answer = (500, {})
    await start(processes, ledger, agent)
    job = await queue.enqueue("sleep", seconds=6, timeout=600)
    assert job is not None
    await until(lambda: len(agent.asked) >= 2, seconds=15, what="the agent is asked again")
    await ledger.until_status(job.key, "complete")


async def test_a_busy_worker_makes_room_once_another_release_has_come(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, agent: Agent
) -> None:
    old = await start(processes, ledger, agent)
    long = await queue.enqueue("sleep", seconds=25, timeout=600)
    assert long is not None
    await until(lambda: agent.asked, seconds=10, what="the agent is asked for protection")
    await queue.pool.execute(
        "INSERT INTO queue_workers (id, queue, expires_at, started_at, release) VALUES"
        " ('new', $1, now() + interval '1 hour', now() - interval '15 s', 'shop-worker:2')",
        queue.name,
    )
    await queue.pool.execute(
        "UPDATE queue_workers SET started_at = now() - interval '1 minute' WHERE id <> 'new'"
    )
    await until(
        lambda: "another release has come" in processes.log(old), seconds=30, what="it leaves"
    )
    other = await queue.enqueue("sleep", seconds=0)
    assert other is not None
    await until(lambda: old.poll() is not None, seconds=40, what="the worker has ended")
    assert old.returncode == 0
    assert await ledger.status(long.key) == "complete"
    assert await ledger.status(other.key) == "queued", "it is for the other release"


async def test_workers_of_the_same_release_or_an_earlier_one_are_no_reason_to_leave(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    for each in (queue, other):
        assert await each.dequeue(timeout=0.1) is None
    count = "SELECT count(*) FROM queue_workers"
    await until(lambda: queue.pool.fetchval(count), what="leases")

    async def ask(each: PostgresQueue, release: str) -> bool:
        return await each.is_superseded(release, after_seconds=0)

    await until(lambda: queue.pool.fetchval(f"{count} HAVING count(*) = 2"), what="both leases")
    await queue.pool.execute(
        "UPDATE queue_workers SET started_at = now() - interval '1 minute' WHERE id = $1",
        queue.owner,
    )
    assert not await ask(queue, "shop:1")
    assert not await ask(other, "shop:1")
    assert not await ask(queue, "shop:1")
    assert not await ask(other, "shop:2"), "the other release is the older one"
    assert await ask(queue, "shop:1")
    assert not await queue.is_superseded("shop:1", after_seconds=3600), "it may not stay"
