"""Runs the real CDK command line against the twin: synthesize, deploy."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from scripts.errors import OperatorError
from scripts.host import die_with_parent
from scripts.twin.client.launch import last_lines
from scripts.twin.client.shell import ROOT, environment
from scripts.twin.client.state import Twin, folder
from service.contract import LOCAL_STAGE

DIE_WITH_PARENT = (sys.executable, "-I", "-S", die_with_parent.__file__)
CDK = ROOT / "node_modules" / ".bin" / "cdk"
# Everything that a synthesis reads, with the code that is copied into the image.
SOURCES = (
    "app.py", "cdk.json", "cdk.context.json", "stages.toml", "stacks", "service", ".dockerignore",
    "requirements.lock", "requirements-telemetry.lock", "requirements-dev.lock",
    "package-lock.json",
)  # fmt: skip
STACK_IS_STUCK = "`moor down` and `moor up` start with empty stacks; the database's rows stay."


class Cdk:
    """The CDK for one twin; its output is kept in files beside the twin's own log."""

    def __init__(self, home: Path, given: Mapping[str, str]) -> None:
        self.home = home
        self._given = given
        self._lock = threading.Lock()  # a synthesis runs in a thread of its own
        self._running: list[subprocess.Popen[bytes]] = []
        self._is_ended = False

    def synthesize(self) -> bool:
        """Write the templates and the image's code; False where nothing has changed since the last
        time.

        Calls no API. Raises `OperatorError`.
        """
        stamp, now = folder(self.home) / "cdk.out.stamp", fingerprint()
        if stamp.exists() and stamp.read_text() == now and self.assembly.is_dir():
            return False
        stamp.unlink(missing_ok=True)
        self._run(
            "synth",
            ["--quiet", f"--context=stage={LOCAL_STAGE}", f"--output={self.assembly}"],
            cwd=ROOT,
            env=environment(None, self._given, self.home),
        )
        stamp.write_text(now)
        return True

    def deploy(self, twin: Twin) -> None:
        """Deploy all synthesized stacks. Raises `OperatorError`."""
        self._run(
            "deploy",
            ["--all", "--require-approval=never", "--method=direct", f"--app={self.assembly}"],
            cwd=ROOT,
            env=environment(twin, self._given, self.home),
        )

    def end(self) -> None:
        """End the commands that still run, in whatever thread; no other is started."""
        with self._lock:
            self._is_ended = True
            for process in self._running:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)

    @property
    def assembly(self) -> Path:
        return folder(self.home) / "cdk.out"

    def _run(self, command: str, arguments: list[str], *, cwd: Path, env: dict[str, str]) -> None:
        if not CDK.exists():
            raise OperatorError("the CDK's command line is not installed", "`make cdk` does it.")
        log = folder(self.home) / f"{command}.log"
        log.parent.mkdir(exist_ok=True)  # the twin, which starts beside this, may not have made it
        with log.open("wb") as output:
            # A process group of its own, so that we can end it with everything it has started. It
            # dies with its parent, so that a killed `moor up` leaves no deployment running.
            with self._lock:
                if self._is_ended:
                    raise OperatorError(f"cdk {command} was interrupted")
                process = subprocess.Popen(
                    [*DIE_WITH_PARENT, CDK, command, *arguments, "--no-notices", "--no-color"],
                    cwd=cwd,
                    env=env,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._running.append(process)
            with process:
                try:
                    code = process.wait()
                except BaseException:
                    os.killpg(process.pid, signal.SIGTERM)
                    process.wait()
                    raise
        if code:
            hint = f"Its whole output is in {log}."
            if command == "deploy":
                hint += f" {STACK_IS_STUCK}"
            raise OperatorError(f"cdk {command} failed:\n{last_lines(log)}", hint)


def fingerprint() -> str:
    """A hash of everything that a synthesis reads."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in SOURCES:
        path = ROOT / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\0{file.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
