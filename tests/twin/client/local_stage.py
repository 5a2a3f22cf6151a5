"""The local stage of a project in a folder of its own, and what its user does with it."""

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from scripts.aws import Aws
from scripts.target import find_target
from scripts.twin.client.state import Twin
from service.contract import EnvVar
from stacks.config.naming import Output
from tests.scripts.conftest import wait_until

COMMAND_SECONDS = 300


@dataclass
class Stage:
    """The local stage of this module's own folder."""

    project: Path
    home: Path
    port: int
    said: str = field(default="", repr=False)  # by every command so far

    def moor(
        self, *words: str, typed: str = "", **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """One command to its end; `typed` is its standard input."""
        given = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}  # noqa: TID251
        done = subprocess.run(
            [sys.executable, "-m", "scripts.cli", *words],
            cwd=self.project,
            env={**given, "API_PORT": str(self.port), **environment},
            umask=0o000 if environment else -1,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            input=typed,
        )
        self.said += done.stdout + done.stderr
        return done

    def container(self, process: str) -> psutil.Process:
        """The container of `api`, of `worker` or of a pool's `worker-reports`; waits until there is
        one alone."""
        name, _, pool = process.partition("-")
        found: list[psutil.Process] = []

        def is_one() -> bool:
            found[:] = [
                each
                for each in psutil.Process(self.twin.pid).children(recursive=True)
                if _words(each)[-2:] == ["service", name] and _pool(each) == pool
            ]
            return len(found) == 1

        wait_until(is_one, f"one {process}")
        return found[0]

    @property
    def twin(self) -> Twin:
        twin = Twin.load(self.home)
        assert twin is not None
        return twin

    @property
    def aws(self) -> Aws:
        return Aws(find_target("local", home=self.home))

    def processes(self) -> list[psutil.Process]:
        """The daemon, all it started, and Postgres, which is nobody's."""
        daemon = psutil.Process(self.twin.pid)
        postmaster = (self.home / "postgres" / "postmaster.pid").read_text().split()[0]
        return [daemon, *daemon.children(recursive=True), psutil.Process(int(postmaster))]

    def ask(self, path: str, body: object = None) -> Any:
        """The API's answer through the load balancer, with the key that is in the secret."""
        arn = self.aws.output(Output.API_KEY_SECRET)
        key = self.aws.call("secretsmanager", "get_secret_value", SecretId=arn)["SecretString"]
        request = urllib.request.Request(
            f"{self.twin.url}{path}",
            None if body is None else json.dumps(body).encode(),
            {"X-API-Key": key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def _words(process: psutil.Process) -> list[str]:
    """Its arguments; none where it has ended since it was listed."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _pool(worker: psutil.Process) -> str:
    try:
        return worker.environ().get(EnvVar.WORKER_POOL, "")
    except psutil.Error:
        return ""


NOWHERE = "http://127.0.0.1:9"
# What a terminal may have for other things; each of these has broken a start, or would have.
HOSTILE = {
    **{f"{scheme}_PROXY": NOWHERE for scheme in ("HTTP", "HTTPS", "ALL")},
    **{f"{scheme}_proxy": NOWHERE for scheme in ("http", "https", "all")},
    "PGSSLMODE": "require", "PGHOST": "nowhere", "PGPORT": "1", "PGSERVICE": "none",
    "PGOPTIONS": "-c nothing=1", "PGUSER": "somebody", "PGDATABASE": "another",
    "AWS_PROFILE": "company", "AWS_ENDPOINT_URL_S3": NOWHERE, "AWS_MAX_ATTEMPTS": "many",
    "AWS_RETRY_MODE": "none", "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_CA_BUNDLE": "/nowhere",
    "AWS_DATA_PATH": "/nowhere", "AWS_CONFIG_FILE": "/nowhere", "AWS_SESSION_TOKEN": "old",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real", "REQUESTS_CA_BUNDLE": "/nowhere", "SSL_CERT_FILE": "/nowhere",
    "NODE_OPTIONS": "--require=/nowhere", "NODE_PATH": "/nowhere", "CDK_OUTDIR": "/nowhere",
    "CDK_CONTEXT_JSON": "{", "JSII_NODE": "/nowhere", "JSII_RUNTIME": "/nowhere",
    "MOTO_ACCOUNT_ID": "1", "MOTO_PORT": "1", "OPENSSL_CONF": "/nowhere", "LC_ALL": "xx_YY.none",
    "LANG": "none", "TMPDIR": "/nowhere", "BASH_ENV": "/nowhere",
    "CDPATH": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", "UV_PYTHON": "3.1", "PIP_USER": "1",
    "npm_config_prefix": "/nowhere", "FLASK_DEBUG": "1", "WERKZEUG_RUN_MAIN": "true",
}  # fmt: skip
