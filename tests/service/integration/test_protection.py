"""The worker and the ECS agent beside it: who may stop this ECS task, and when."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from service.queue.postgres import PostgresQueue
from tests.conftest import Processes, until
from tests.service.integration.conftest import Ledger


class Agent(ThreadingHTTPServer):
    """The agent's route as ECS documents it; `answer` is what it says next."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), AgentHandler)
        self.asked: list[dict[str, Any]] = []
        self.answer: tuple[int, dict[str, Any]] = (200, {"protection": {"ProtectionEnabled": True}})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/id"


class AgentHandler(BaseHTTPRequestHandler):
    server: Agent

    def do_PUT(self) -> None:
        assert self.path == "/api/id/task-protection/v1/state"
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, body = self.server.answer
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


async def start(processes: Processes, ledger: Ledger, agent: Agent) -> "subprocess.Popen[bytes]":
    child = processes.start("worker", ECS_AGENT_URI=agent.url, DRAIN_SECONDS="5")
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
