"""Starts the twin's daemon in the background, and ends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from scripts.errors import OperatorError, OverdueError
from scripts.host.environment import Environment, inherited
from scripts.host.pid_lock import PidLock
from scripts.host.pids import command_line
from scripts.twin.client.shell import ROOT, write_docker, write_programs
from scripts.twin.client.state import Twin, folder, runs_another_release
from service.contract import STOP_TIMEOUT_SECONDS

START_SECONDS = 90  # Postgres alone may take 60 after a crash
STOP_SECONDS = STOP_TIMEOUT_SECONDS + 30
UP_SECONDS = 60  # `moor up` ends the CDK first
POLL_SECONDS = 0.05
LAST_LINES = 15

Say = Callable[[str], None]


def launch(home: Path, environment: Mapping[str, str], say: Say) -> Twin:
    """The twin that runs in `home`; starts it if none runs. Raises `OperatorError`.

    API_PORT in `environment` is the port for its load balancer. A twin of another release of
    Moorage is ended first, because it runs that release's code.
    """
    if runs_another_release(home):
        say("Another release of Moorage has started the twin that runs here")
        _end_daemon(home, say)
    if (twin := Twin.load(home)) is not None:
        write_docker(home)  # again, because this release may have moved the programs
        write_programs(home)
        return twin
    port = Environment(environment, home).address.port
    lock = _await_lock(home, say)
    if isinstance(lock, Twin):
        return lock
    folder(home).mkdir(exist_ok=True)
    log = folder(home) / "twin.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.twin", str(home), str(port), str(lock.file)],
            cwd=ROOT,
            env=inherited(environment, folder(home)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock.file,),
        )
    lock.hand_over(process.pid)
    deadline = time.monotonic() + START_SECONDS
    while (twin := Twin.load(home)) is None:
        if process.poll() is not None:
            raise OperatorError(
                f"the twin ended with exit code {process.returncode} while it started:\n"
                f"{last_lines(log)}",
                f"Its log is {log}.",
            )
        if time.monotonic() > deadline:
            raise OverdueError(
                f"the twin did not start in {START_SECONDS} s:\n{last_lines(log)}",
                f"`moor down` ends it. Its log is {log}.",
            )
        time.sleep(POLL_SECONDS)
    return twin


def end(home: Path, say: Say) -> bool:
    """End the twin in `home` and wait until no process of it is left. False if none ran.

    A running `moor up` is ended first. The ECS tasks finish their jobs. A daemon that does not end
    in time is killed; its guard then ends what the daemon had started.
    """
    _end_up(home, say)
    return _end_daemon(home, say)


def _end_daemon(home: Path, say: Say) -> bool:
    lock = PidLock(home, "twin")
    if not home.is_dir() or lock.take():
        lock.release()
        return False
    say("Stopping: the ECS tasks finish their jobs")
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _takes(lock, STOP_SECONDS, number):
            lock.release()
            return True
        say(f"The twin did not end within {STOP_SECONDS} s: killing it")
    raise OperatorError(
        "the twin does not end", f"`lsof {home / 'twin.lock'}` names the processes that are left."
    )


def _end_up(home: Path, say: Say) -> None:
    lock = PidLock(home, "up")
    if not home.is_dir() or lock.take():
        lock.release()
        return
    holder = lock.holder
    if holder is None or "up" not in command_line(holder).split():
        return  # `make clean`, or another program of ours that must not meet a `moor up`
    say(f"Ending the `moor up` that is at work here (process {holder})")
    with suppress(ProcessLookupError):
        os.kill(holder, signal.SIGTERM)
    if not _takes(lock, UP_SECONDS):
        raise OverdueError(
            f"the `moor up` of process {holder} did not end in {UP_SECONDS} s",
            "End it with Ctrl-C in its terminal.",
        )
    lock.release()


def last_lines(log: Path) -> str:
    """The end of a log, indented."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])


def _await_lock(home: Path, say: Say) -> PidLock | Twin:
    """The twin's lock; or the twin, if one is running after an interrupted `moor up`."""
    lock = PidLock(home, "twin")
    deadline = time.monotonic() + STOP_SECONDS
    if not lock.take():
        say("Another twin is starting or stopping here; waiting for that")
        while not lock.take():
            if (twin := Twin.load(home)) is not None:
                return twin
            if time.monotonic() > deadline:
                raise OverdueError(
                    f"the last twin (process {lock.holder}) neither runs nor ends",
                    "`moor down` ends it, and kills it if necessary.",
                )
            time.sleep(POLL_SECONDS)
    return lock


def _takes(lock: PidLock, seconds: float, number: signal.Signals | None = None) -> bool:
    """Send the signal to the lock's holder, and wait until the lock is taken; False after
    `seconds`."""
    deadline = time.monotonic() + seconds
    signalled = None
    while not lock.take():
        # A new daemon is written into the lock late; until then the lock names another process.
        if number and (holder := lock.holder) != signalled:
            _send(holder, number)
            signalled = holder
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _send(pid: int | None, number: signal.Signals) -> None:
    # Only the guard may hold the lock by now, and another process may have the id.
    if pid is not None and "scripts.twin" in command_line(pid):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
