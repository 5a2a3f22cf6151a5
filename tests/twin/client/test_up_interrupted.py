"""`moor up` that is ended half-way, by its user or from another terminal: nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.host.pid_lock import PidLock
from scripts.twin.client.launch import end
from scripts.twin.client.state import Twin, state_file
from tests.ports import free_port
from tests.scripts.conftest import ROOT, await_gone, wait_until

COMMAND_SECONDS = 120
INTERRUPTED = 130


@pytest.fixture
def home(scratch: Path) -> Iterator[Path]:
    """A folder for the local data that does not exist yet; no twin runs there afterwards."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        home = Path(folder) / "data"
        yield home
        end(home, print)


def moor(command: str, home: Path) -> "subprocess.Popen[str]":
    given = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}  # noqa: TID251
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.cli", command, "--home", str(home)],
        cwd=ROOT,
        env={**given, "API_PORT": str(free_port())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def started(process: "subprocess.Popen[str]", word: str) -> list[psutil.Process]:
    """What it has started with that word in its command line."""
    found = []
    for each in psutil.Process(process.pid).children(recursive=True):
        try:
            if word in " ".join(each.cmdline()):
                found.append(each)
        except psutil.NoSuchProcess:
            continue
    return found


def code(process: "subprocess.Popen[str]") -> int:
    """As a shell says it: Python may end by the signal itself, where an import was interrupted."""
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def test_down_ends_a_twin_that_has_only_just_been_started(home: Path) -> None:
    up = moor("up", home)
    wait_until(lambda: started(up, "scripts.twin"), "the daemon is started")
    (daemon,) = started(up, "scripts.twin")
    up.kill()

    said, _ = moor("down", home).communicate(timeout=COMMAND_SECONDS)

    up.communicate()
    assert "Down" in said
    await_gone([daemon])
    assert Twin.load(home) is None


def test_down_ends_a_twin_that_has_not_signed_its_lock_yet(home: Path) -> None:
    home.mkdir()
    lock = PidLock(home, "twin")
    assert lock.take()  # as a `moor up` that is killed before it has handed the lock over
    command = [sys.executable, "-m", "scripts.twin", str(home), str(free_port()), str(lock.file)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, pass_fds=[lock.file]) as it:
        (home / "twin.lock").write_text("1\n")
        lock.release()
        said: list[str] = []
        began = time.monotonic()
        assert end(home, said.append)
        assert time.monotonic() - began < COMMAND_SECONDS
        it.wait(COMMAND_SECONDS)
    assert said == ["Stopping: the ECS tasks finish their jobs"]


def test_down_ends_an_up_that_synthesizes_and_what_that_has_started(home: Path) -> None:
    up = moor("up", home)
    wait_until(lambda: started(up, "scripts.twin") and started(up, "cdk synth"), "it synthesizes")
    processes = started(up, "")

    said, _ = moor("down", home).communicate(timeout=COMMAND_SECONDS)

    assert f"Ending the `moor up` that is at work here (process {up.pid})" in said
    up.communicate(timeout=COMMAND_SECONDS)
    assert code(up) == INTERRUPTED
    await_gone(processes)
    assert not (home / "twin" / "cdk.out" / "manifest.json").exists()  # nobody waited for it


def test_up_goes_on_with_a_twin_left_starting_and_a_closed_terminal_ends_up_and_the_cdk(
    home: Path,
) -> None:
    first = moor("up", home)
    wait_until(lambda: started(first, "scripts.twin"), "the daemon is started")
    (daemon,) = started(first, "scripts.twin")
    wait_until(lambda: started(first, "cdk synth"), "the synthesis is started")
    first.send_signal(signal.SIGINT)  # Ctrl-C
    first.communicate(timeout=COMMAND_SECONDS)

    second = moor("up", home)
    wait_until(lambda: Twin.load(home) is not None and started(second, "cdk synth"), "it goes on")
    twin = Twin.load(home)
    processes = started(second, "node")
    second.send_signal(signal.SIGHUP)  # the terminal is closed
    second.communicate(timeout=COMMAND_SECONDS)

    assert twin is not None
    assert twin.pid == daemon.pid
    assert (code(first), code(second)) == (INTERRUPTED, INTERRUPTED)
    await_gone(processes)
    assert Twin.load(home) == twin


def test_a_twin_of_another_release_and_one_that_stops_are_not_gone_on_with(home: Path) -> None:
    home.mkdir()
    launched(home)
    other = Twin.load(home)
    assert other is not None
    daemon = psutil.Process(other.pid)
    written = json.loads(state_file(home).read_text())
    del written["release"], written["agent_url"]  # as the first release wrote it
    state_file(home).write_text(json.dumps(written))

    said = launched(home)

    assert "Another release of Moorage has started the twin that runs here" in said
    await_gone([daemon])
    twin = Twin.load(home)
    assert twin is not None
    assert launched(home) == ""
    assert Twin.load(home) == twin
    os.kill(twin.pid, signal.SIGTERM)
    wait_until(lambda: "stopping" in twin.log.read_text(), "it stops")
    assert Twin.load(home) is None


def launched(home: Path) -> str:
    """What `moor up` says until the twin runs."""
    script = (
        "import os, pathlib, sys; from scripts.twin.client.launch import launch\n"
        "launch(pathlib.Path(sys.argv[1]), os.environ, print)"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(home)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "API_PORT": str(free_port())},  # noqa: TID251
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
