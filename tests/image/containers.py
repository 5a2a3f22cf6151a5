"""Containers of one image, as locked up as podman can."""

import json
import os
import subprocess
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from scripts.errors import OperatorError
from service.contract import WRITABLE_PATH

HARDENED = (
    "--read-only",
    "--read-only-tmpfs=false",
    f"--tmpfs={WRITABLE_PATH}:rw,noexec,nosuid,nodev,size=16m,mode=1777",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=host",
    "--pids-limit=256",
    "--memory=512m",  # of the smallest ECS task
)


@dataclass
class Containers:
    """One container for each process; its log goes to `folder`."""

    image: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    _started: set[str] = field(default_factory=set)

    def compressed_megabytes(self) -> list[float]:
        """The layers as a registry would hold them, the base's first."""
        with tempfile.TemporaryDirectory() as work:
            archive = Path(work, "image.tar")
            _podman("save", "--quiet", "--format=oci-archive", f"--output={archive}", self.image)
            with tarfile.open(archive) as tar:

                def blob(digest: str) -> dict[str, list[dict[str, str]]]:
                    file = tar.extractfile(f"blobs/{digest.replace(':', '/')}")
                    assert file is not None
                    found: dict[str, list[dict[str, str]]] = json.load(file)
                    return found

                index = tar.extractfile("index.json")
                assert index is not None
                layers = blob(json.load(index)["manifests"][0]["digest"])["layers"]
        return [int(layer["size"]) / 1e6 for layer in layers]

    def start(self, process: str, *, mounts: dict[Path, str]) -> None:
        """In the background."""
        self._run(process, mounts, "--detach")

    def run(self, process: str, *, mounts: dict[Path, str]) -> tuple[int, str]:
        """To its end; the exit status and what it printed."""
        self.start(process, mounts=mounts)
        status = int(_podman("wait", process))
        printed = self.log(process)
        _podman("rm", process)
        self._started.discard(process)
        return status, printed

    def stop(self, process: str) -> tuple[int, float]:
        """SIGTERM to process 1; its exit status and how many seconds it took."""
        began = time.monotonic()
        _podman("kill", "--signal=TERM", process)
        status = int(_podman("wait", "--interval=50ms", process))
        seconds = time.monotonic() - began
        self.log(process)
        return status, seconds

    def is_running(self, process: str) -> bool:
        return _podman("inspect", "--format={{.State.Running}}", process) == "true"

    def execute(self, process: str, *command: str) -> str:
        """Run `command` inside. Raises `OperatorError` if it fails."""
        return _podman("exec", process, *command)

    def log(self, process: str) -> str:
        """What it has printed so far, which is also kept in `folder`."""
        done = subprocess.run(
            ["podman", "logs", process],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        (self.folder / f"{process}.log").write_text(done.stdout)
        return done.stdout

    def remove(self) -> None:
        for process in self._started:
            self.log(process)
            _podman("rm", "--force", "--ignore", "--time=0", process)

    def _run(self, process: str, mounts: dict[Path, str], *options: str) -> None:
        variables = [f"--env={name}" for name in self.environment]  # values stay off command lines
        volumes = [f"--volume={file}:{place}:ro" for file, place in mounts.items()]
        self._started.add(process)
        _podman(
            "run", f"--name={process}", *options, *HARDENED, *variables, *volumes,
            self.image, process, environment=self.environment,
        )  # fmt: skip


def _podman(*arguments: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        ["podman", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **(environment or {})},  # noqa: TID251
    )
    if done.returncode:
        raise OperatorError(f"podman {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()
