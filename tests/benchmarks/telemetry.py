"""What traces cost: `.venv/bin/python -m tests.benchmarks.telemetry [ROUNDS] [BASE]`.

A worker drains no-op jobs, 10 at once, and an API answers requests: without telemetry, with it as
it comes, and with every span recorded. They take turns, so that what else the machine does is
shared by all. BASE is another checkout, measured as `base`, without telemetry.
"""

import asyncio
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil

from tests.benchmarks import contenders
from tests.benchmarks.stand import Stand
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
JOBS, REQUESTS, CONCURRENCY = 20_000, 1_000, 10
ALL = {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}


def modes(address: str) -> dict[str, dict[str, str]]:
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
    return {"off": {}, "on": on, "on, every span": on | ALL}


async def main(rounds: int, base: Path | None) -> None:
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(Path(folder))
        stand.postgres.start()
        collector = subprocess.Popen(
            [sys.executable, __file__, "collector"],
            cwd=ROOT, env=environment(ROOT, {}), stdout=subprocess.PIPE,
        )  # fmt: skip
        assert collector.stdout is not None
        address = f"http://127.0.0.1:{int(collector.stdout.readline())}"
        try:
            for _ in range(rounds):
                turns = [(name, ROOT, given) for name, given in modes(address).items()]
                for name, root, given in [("base", base, {}), *turns] if base else turns:
                    dsn = await stand.fresh(contenders.load("moorage"), JOBS)
                    found.setdefault(("job", name), []).append(drain(root, dsn, given))
                    found.setdefault(("request", name), []).append(answer(root, dsn, given))
        finally:
            collector.kill()
            stand.postgres.stop()
    for (what, name), values in found.items():
        seconds, used = (statistics.median(each) * 1e6 for each in zip(*values, strict=True))
        print(f"{what:8} {name:16} {1e6 / seconds:8,.0f}/s {used:6.0f} µs of CPU")  # noqa: T201


def environment(root: Path, given: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(root)} | given  # noqa: TID251


def drain(root: Path, dsn: str, given: dict[str, str]) -> tuple[float, float]:
    """Seconds, and seconds of CPU of the worker, for a job."""
    done = subprocess.run(
        [sys.executable, __file__, "worker", dsn],
        cwd=root, env=environment(root, given), stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    seconds, used = json.loads(done.stdout)
    return seconds / JOBS, used / JOBS


def answer(root: Path, dsn: str, given: dict[str, str]) -> tuple[float, float]:
    """Seconds, and seconds of CPU of the API, for a request that enqueues a job."""
    port = free_port()
    told = {
        "STAGE": "local", "DATABASE_URL": dsn, "API_PORT": str(port), "LOG_LEVEL": "warning",
    }  # fmt: skip
    api = subprocess.Popen(
        [sys.executable, "-m", "service", "api"],
        cwd=root, env=environment(root, told | given), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            deadline = time.monotonic() + 30
            while True:
                try:
                    client.get("/health/live")
                    break
                except httpx.TransportError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            tasks = client.get("/api/v1/tasks").json()["items"]
            bare = [each for each in tasks if not each["payload_schema"].get("required")]
            body = {"task": bare[0]["name"], "payload": {}}
            client.post("/api/v1/jobs", json=body).raise_for_status()
            used, began = cpu(api.pid), time.monotonic()
            for _ in range(REQUESTS):
                client.post("/api/v1/jobs", json=body)
            return (time.monotonic() - began) / REQUESTS, (cpu(api.pid) - used) / REQUESTS
    finally:
        api.kill()
        api.wait()


def cpu(pid: int) -> float:
    return float(sum(psutil.Process(pid).cpu_times()[:2]))


def work(dsn: str) -> None:
    """In a process of its own: run all jobs, and print how long it took."""
    import uvloop

    from service import logs
    from service.processes.worker_process import collect_less_often
    from service.queue import Context, PostgresQueue, Registry, Worker
    from service.settings import Settings

    settings = Settings(stage="local", database_url=dsn, log_level="warning", log_format="json")
    if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ:  # noqa: TID251
        from service.telemetry.start import start

        assert start(settings, "worker") == []
    logs.configure(settings, "worker")
    registry, began, done = Registry(), [0.0, 0.0], 0

    async def run() -> None:
        queue = PostgresQueue(dsn, registry)
        await queue.connect()
        worker = Worker(queue, registry, concurrency=CONCURRENCY, drain_seconds=10)
        worker.SIGNALS = []
        is_done = asyncio.Event()

        @registry.task(name="noop")
        async def noop(ctx: Context, *, sent: int) -> None:
            nonlocal done
            if not done:
                began[:] = time.monotonic(), time.process_time()
            done += 1
            if done == JOBS:
                is_done.set()

        running = asyncio.create_task(worker.start())
        await is_done.wait()
        sys.stdout.write(json.dumps([time.monotonic() - began[0], time.process_time() - began[1]]))
        await worker.stop()
        await running
        await queue.disconnect()

    collect_less_often()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def collect() -> None:
    """In a process of its own: take what comes, and look at none of it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    print(server.server_port, flush=True)  # noqa: T201


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["worker", dsn]:
            work(dsn)
        case ["collector"]:
            collect()
        case [*given]:
            rounds = int(given[0]) if given else 5
            asyncio.run(main(rounds, Path(given[1]) if len(given) > 1 else None))
