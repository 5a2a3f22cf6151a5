"""Run the built image as ECS does, or stricter: `python -m tests.image IMAGE FOLDER`.

Against a real Postgres that speaks TLS only, with a password: migrate, api and worker, read-only,
without capabilities, one job through HTTP, SIGTERM.
"""

import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from scripts.errors import OperatorError
from scripts.terminal.render import Screen
from service import contract
from tests.faults.tls import Authority
from tests.image.containers import Containers
from tests.image.postgres import Server
from tests.ports import free_port
from tests.sample import DOMAINS

START_SECONDS = 60
JOB_SECONDS = 30
DRAIN_SECONDS = 20
STOP_SECONDS = 15  # of an idle process: it does not wait for the drain
MAX_MEGABYTES = 60  # compressed, on this base
KEY = "a-key-of-this-check-alone"
NOTES = "/app/service/domain/notes"  # whatever the project's own domains are

# Run inside: what the kernel says about this process, what the image lets it do and what is there.
LOOK_INSIDE = """
import boto3, botocore.session, faker, importlib.metadata, importlib.util, json, os, pathlib
import pkgutil, service, zoneinfo
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
def writable(folder):
    try:
        pathlib.Path(folder, "x").touch()
    except OSError:
        return False
    return True
known = botocore.session.Session().get_available_services()
for name in known:
    boto3.client(name, region_name="eu-west-1")
for module in pkgutil.walk_packages(service.__path__, "service."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:  # of an image that is built with telemetry
        extra = error.name.partition(".")[0] in ("opentelemetry", "sentry_sdk")
        if not (extra and module.name.startswith("service.telemetry.")):
            raise
faker.Faker().name()
zoneinfo.reset_tzpath(())  # the base may have its own, or none
zoneinfo.ZoneInfo("Europe/Berlin")
print(json.dumps({
    "user": f"{os.getuid()}:{os.getgid()}",
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no new privileges": status["NoNewPrivs"].strip(),
    "writable": [f for f in ("/", "/app", "/opt/venv", "/tmp", "/var/tmp") if writable(f)],
    "not for it": [
        m for m in ("pip", "pytest", "moto", "sentry_sdk") if importlib.util.find_spec(m)
    ],
    "compiled": importlib.util.find_spec("service.processes.worker_process").cached is not None
        and os.path.exists(importlib.util.find_spec("service.processes.worker_process").cached),
    "parts": sorted(f"{part.name}=={part.version}" for part in importlib.metadata.distributions()),
}))
"""
INSIDE = {
    "user": contract.USER,
    "capabilities": 0,
    "no new privileges": "1",
    "writable": [contract.WRITABLE_PATH],
    "not for it": [],
    "compiled": True,
}


def main(arguments: list[str]) -> int:
    """Check the image, its logs into the folder; the exit status."""
    image, folder = arguments
    screen = Screen(os.environ)  # noqa: TID251
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as at_end:
        containers = Containers(image, Path(folder))
        server = Server(Path(work))
        at_end.callback(server.stop)
        at_end.callback(containers.remove)
        try:
            check(containers, server, screen)
        except OperatorError as error:
            screen.fail(error)
            return 1
    return 0


def check(containers: Containers, server: Server, screen: Screen) -> None:
    """Raises `OperatorError` at the first promise that is broken."""
    base, *ours = containers.compressed_megabytes()
    total = base + sum(ours)
    screen.say(f"compressed: {total:.1f} MB, {base:.1f} of the base and {sum(ours):.1f} of ours")
    expect(total < MAX_MEGABYTES, f"that is more than {MAX_MEGABYTES} MB")

    authority = Authority(server.folder, "authority")
    address = server.start(authority.certificate("localhost"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    containers.environment = {
        "STAGE": "check",
        "LOG_FORMAT": "json",
        "DATABASE_URL": f"{address}?sslmode=verify-full&sslrootcert={contract.RDS_CA_FILE}",
        "API_KEY": KEY,
        "API_PORT": str(port),
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
    }

    status, printed = containers.run("migrate", mounts={})
    refused = status == 2 and "certificate verify failed" in printed
    expect(refused, f"not refused as unknown to RDS's roots, but status {status}", "migrate")
    screen.say("migrate refuses a server that no root of RDS vouches for")

    given = {authority.file: contract.RDS_CA_FILE, DOMAINS / "notes": NOTES}
    began = time.monotonic()
    status, _ = containers.run("migrate", mounts=given)
    expect(status == 0, f"migrate ended with status {status}", "migrate")
    screen.step("migrate is done, over TLS with the server's name checked", elapsed(began))

    began = time.monotonic()
    for process in ("api", "worker"):
        containers.start(process, mounts=given)
    with httpx.Client(base_url=url, headers={"X-API-Key": KEY}) as client:
        wait_until_ready(client, containers)
        screen.step("the API is ready", elapsed(began))
        run_job(client, screen)
        schema = client.get("/schema/openapi.json").status_code
        expect(schema == 200, f"the schema has status {schema}", "api")

    for process in ("api", "worker"):
        found = json.loads(containers.execute(process, "python", "-c", LOOK_INSIDE))
        parts = {same(part) for part in found.pop("parts")}
        expect(found == INSIDE, f"inside the {process}: {found}, expected {INSIDE}")
    containers.execute("worker", "python", "-m", "service", "healthcheck")
    screen.say(f"inside: {INSIDE}")
    listed = json.loads((containers.folder / "sbom.cdx.json").read_bytes())["components"]
    unlisted = parts - {same(f"{part['name']}=={part['version']}") for part in listed}
    expect(bool(parts) and not unlisted, f"not in the list of parts: {sorted(unlisted)}")
    screen.say(f"its {len(parts)} packages are in the list of parts")

    for process in ("api", "worker"):
        status, seconds = containers.stop(process)
        expect(status == 0, f"the {process} ended with status {status} after SIGTERM", process)
        expect(seconds < STOP_SECONDS, f"the {process} took {seconds:.1f} s to stop", process)
        screen.step(f"{process}: SIGTERM, exit 0", seconds)


def same(part: str) -> str:
    """A package's name is written in several ways."""
    return re.sub("[-_.]+(?=.*==)", "-", part).lower()


def wait_until_ready(client: httpx.Client, containers: Containers) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if client.get(contract.READY_PATH).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
        expect(containers.is_running("api"), "the API ended by itself", "api")
        expect(time.monotonic() < deadline, f"the API was not ready in {START_SECONDS} s", "api")


def run_job(client: httpx.Client, screen: Screen) -> None:
    began = time.monotonic()
    queued = client.post("/notes", json={"message": "hello"}).raise_for_status().json()
    while (job := read(client, queued["job_id"]))["status"] != "complete":
        expect(elapsed(began) < JOB_SECONDS, f"the job did not end: {job}", "worker")
        time.sleep(0.02)
    expect(
        job["result"] == {"message": "hello", "user_id": None, "author": ""},
        f"another result: {job}",
    )
    screen.step("a job came back with its result", elapsed(began))
    made = client.post("/api/v1/console/links", json={"who": "image check"}).raise_for_status()
    client.post(made.json()["path"])  # the client keeps the cookie
    page = client.get(f"/console/jobs/{queued['job_id']}").raise_for_status().text
    expect("complete" in page, f"the console does not show the job: {page}")


def read(client: httpx.Client, key: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/v1/jobs/{key}").raise_for_status().json()
    return found


def elapsed(began: float) -> float:
    return time.monotonic() - began


def expect(is_so: bool, otherwise: str, process: str = "") -> None:
    if not is_so:
        raise OperatorError(otherwise, f"See .moorage/image/{process}.log" if process else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
