"""Real workers of the backends that processes share, killed and stopped by signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from saq import Status

import tests.service.tasks  # noqa: F401 - registers
from service.queue.errors import WorkerNotFoundError
from service.queue.tasks.registry import Registry
from tests.conftest import Processes, until
from tests.sample import sample_registry
from tests.service.queue.backends.conftest import Backend, active, ended, put


@pytest.fixture(scope="session")
def known() -> Registry:
    """The tasks that `tests.service.process` knows."""
    return sample_registry()


@pytest.fixture(params=["postgresql", "redis", "sqs"])
def scheme(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def environment(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a process of this backend."""
    variables = {"QUEUE_DSN": backend.settings.queue_url, "DRAIN_SECONDS": "2"}
    return variables | {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - moto's address is there
        if name.startswith("AWS_")
    }


async def test_a_killed_workers_job_runs_again(
    backend: Backend, known: Registry, processes: Processes, environment: dict[str, str]
) -> None:
    queue = await backend.connect(known)
    child = processes.start("worker", **environment)
    job = await put(queue, "sleep", seconds=3600)
    running = await active(queue, job.key)
    other = processes.start("worker", **environment)
    child.send_signal(signal.SIGKILL)
    child.wait(10)

    async def runs_elsewhere() -> bool:
        found = await queue.job(job.key)
        return bool(
            found and found.status is Status.ACTIVE and found.worker_id != running.worker_id
        )

    await until(runs_elsewhere, seconds=60, what="another worker runs it")

    async def is_in_history() -> bool:
        record = await queue.find_record(job.key)
        assert record
        return (record.status, record.attempts, record.crashes) == ("active", 1, 1)

    await until(is_in_history, what="its history says so")
    await queue.abort(running, "proved")
    await ended(queue, job.key)
    other.send_signal(signal.SIGTERM)
    assert other.wait(20) == 0, processes.log(other)


async def test_sigterm_queues_again_what_does_not_end(
    backend: Backend, known: Registry, processes: Processes, environment: dict[str, str]
) -> None:
    queue = await backend.connect(known)
    child = processes.start("worker", **environment)
    job = await put(queue, "sleep", seconds=3600)
    await active(queue, job.key)
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0, processes.log(child)
    found = await queue.job(job.key)
    assert found
    assert (found.status, found.attempts) == (Status.QUEUED, 0)
    assert "Traceback" not in processes.log(child)


async def test_a_worker_that_somebody_drains_ends_once_its_jobs_have(
    backend: Backend, known: Registry, processes: Processes, environment: dict[str, str]
) -> None:
    queue = await backend.connect(known)
    child = processes.start("worker", **environment | {"DRAIN_SECONDS": "30"})
    job = await put(queue, "sleep", seconds=3)
    await active(queue, job.key)
    (worker,) = await queue.list_workers()
    assert (worker.id, worker.slots, worker.is_draining) == (
        (await active(queue, job.key)).worker_id, 10, False,
    )  # fmt: skip
    assert [each.key for each in (await queue.running())[worker.id]] == [job.key]

    await queue.drain_worker(worker.id)
    assert [each.is_draining for each in await queue.list_workers()] == [True]
    with pytest.raises(WorkerNotFoundError, match="no live worker is named 'nobody'"):
        await queue.drain_worker("nobody")
    assert child.wait(20) == 0, processes.log(child)
    assert "somebody wants this worker to drain" in processes.log(child)
    assert (await ended(queue, job.key)).status is Status.COMPLETE
    assert await queue.list_workers() == []


async def test_saqs_own_worker_runs_the_jobs(
    backend: Backend, known: Registry, environment: dict[str, str], project: Path, tmp_path: Path
) -> None:
    queue = await backend.connect(known)
    job = await put(queue, "keep_note", message="hello")
    variables = {
        "PATH": os.environ["PATH"],  # noqa: TID251
        "STAGE": "local",
        "DATABASE_URL": backend.settings.database_dsn,
        **environment,
    }
    with (tmp_path / "saq.log").open("w") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "saq", "service.queue.worker.settings"],
            cwd=project, env=variables, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            assert (await ended(queue, job.key)).status is Status.COMPLETE
        finally:
            child.send_signal(signal.SIGTERM)
            assert child.wait(30) == 0
