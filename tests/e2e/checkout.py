"""A checkout of somebody who has just cloned the project and put a domain of theirs into it."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx

from scripts.twin.client.state import Twin
from service.contract import LOCAL_STAGE, ProcessName
from stacks.config.naming import Names
from tests import extending
from tests.ports import free_port
from tests.sample import copy_project

COMMAND_SECONDS = 300
APP = "bakery"
NAMES = Names(APP, LOCAL_STAGE)
TASKS = """
import asyncio

from service.queue import Context, task

RELEASE = 1


@task(timeout=20)
async def bake(ctx: Context, *, seconds: float = 0) -> dict[str, int]:
    ctx.log.info("in the oven")
    await asyncio.sleep(seconds)
    return {"release": RELEASE}
"""


@dataclass
class Checkout:
    """Its folder, and what its user does in it."""

    folder: Path
    port: int = field(default_factory=free_port)
    _clients: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def clone(cls, folder: Path) -> "Checkout":
        """The files of this checkout, with the environments that `make setup` has made."""
        copy_project(folder)
        stages = folder / "stages.toml"
        stages.write_text(
            re.sub(r'(?m)^app_name = ".*"$', f'app_name = "{APP}"', stages.read_text())
        )
        jobs = folder / "service/domain/bakery/jobs"
        jobs.mkdir(parents=True)
        for init in (jobs / "__init__.py", jobs.parent / "__init__.py"):
            init.touch()
        (jobs / "tasks.py").write_text(TASKS)
        extending.write(folder, "carts", "orders", "archive")
        return cls(folder)

    @property
    def tasks(self) -> Path:
        return self.folder / "service/domain/bakery/jobs/tasks.py"

    def output(self, key: str, of_stack: str = NAMES.service_stack) -> str:
        """An output of a stack."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=of_stack)["Stacks"]
        return str({each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}[key])

    @property
    def environment(self) -> dict[str, str]:
        kept = {"PATH", "HOME", "LANG"}
        given = {name: value for name, value in os.environ.items() if name in kept}  # noqa: TID251
        return {**given, "API_PORT": str(self.port), "NO_COLOR": "1"}

    def start(self, output: Path, *arguments: str) -> "subprocess.Popen[bytes]":
        """`moor …` in the background; what it shows is in `output`."""
        with output.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "scripts.cli", *arguments],
                cwd=self.folder, env=self.environment, stdout=file, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def moor(self, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        """`moor …` to its end; fails where it ends otherwise than expected."""
        done = subprocess.run(
            [sys.executable, "-m", "scripts.cli", *arguments],
            cwd=self.folder, env=self.environment, text=True, capture_output=True,
            stdin=subprocess.DEVNULL, check=False, timeout=COMMAND_SECONDS,
        )  # fmt: skip
        assert done.returncode == code, f"moor {arguments}: {done.stdout}{done.stderr}"
        return done

    def answer(self, *arguments: str) -> Any:
        """What `moor … --json` says."""
        return json.loads(self.moor(*arguments, "--json").stdout)

    @property
    def twin(self) -> Twin:
        twin = Twin.load(self.folder / ".moorage")
        assert twin is not None, "the twin does not run"
        return twin

    def client(self, service: str) -> Any:
        """boto3 as its user has it, pointed at the twin; made once, for it is asked in loops."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,  # type: ignore[call-overload]
                endpoint_url=self.twin.endpoint, region_name=self.twin.region,
                aws_access_key_id=self.twin.access_key,
                aws_secret_access_key=self.twin.secret_key,
            )  # fmt: skip
        return self._clients[service]

    def http(self) -> httpx.Client:
        """The API, with its key as `. .moorage/twin/env` gives it."""
        shown = subprocess.run(
            ["sh", "-c", '. .moorage/twin/env && printf %s "$API_KEY"'],
            cwd=self.folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return httpx.Client(base_url=self.twin.url, headers={"X-API-Key": shown.stdout}, timeout=30)

    def enqueue(self, http: httpx.Client, seconds: float = 0) -> str:
        """A job of the domain's task; its key."""
        return self.enqueue_task(http, "bake", seconds=seconds)

    def enqueue_task(self, http: httpx.Client, task: str, **payload: object) -> str:
        """A job of any task; its key."""
        body = {"task": task, "payload": payload}
        job_id: str = http.post("/api/v1/jobs", json=body).raise_for_status().json()["job_id"]
        return job_id

    def result(self, http: httpx.Client, key: str, seconds: float = 60) -> dict[str, Any]:
        """The job, once it is complete."""
        began = time.monotonic()
        while True:
            job: dict[str, Any] = http.get(f"/api/v1/jobs/{key}").raise_for_status().json()
            if job["status"] == "complete":
                return job
            waited = time.monotonic() - began
            assert waited < seconds, job
            time.sleep(min(0.1 + waited / 20, 1))

    def service(self, process: str) -> dict[str, Any]:
        """The ECS service as plain AWS tools see it."""
        (found,) = self.client("ecs").describe_services(
            cluster=NAMES.cluster, services=[NAMES.service(ProcessName(process))]
        )["services"]
        assert isinstance(found, dict)
        return found
