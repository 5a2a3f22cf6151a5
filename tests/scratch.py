"""A folder for test servers that goes, and takes them with it, however pytest ends.

A small process watches over it: it reads a pipe that only pytest holds, and the pipe closes with
its holder, on SIGHUP and SIGKILL too.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHARED = "MOORAGE_TEST_SHARED"  # the variable that names the folder of a test run
STOP_SECONDS = 20  # what a `make worker` may need; Postgres needs less


@functools.cache
def shared_folder() -> Path:
    """Of all processes of a test run, or of this one."""
    if shared := os.environ.get(SHARED):  # noqa: TID251
        return Path(shared)
    own = tempfile.TemporaryDirectory(prefix="moorage-shared-")
    atexit.register(own.cleanup)
    return Path(own.name)


@contextlib.contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder that is removed afterwards; what runs on it then is ended."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
    watch = subprocess.Popen(
        [sys.executable, "-m", "tests.scratch", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # away from the terminal, whose end is not the watch's
    )
    try:
        yield folder
    finally:
        watch.communicate()


def clear(folder: str) -> None:
    """End every process with `folder` in its command line or DATABASE_URL, then remove it."""
    import psutil  # only now: the watch starts quickly and mostly waits

    told: set[int] = set()
    deadline = time.monotonic() + STOP_SECONDS
    # Again and again, as what is being ended may just have started another.
    while time.monotonic() < deadline + STOP_SECONDS:
        left = [
            process
            for process in psutil.process_iter(["cmdline", "environ"])
            if process.pid != os.getpid()
            and folder
            in " ".join(process.info["cmdline"] or [])
            + (process.info["environ"] or {}).get("DATABASE_URL", "")
        ]
        if not left:
            break
        for process in left:
            with contextlib.suppress(psutil.Error):
                if time.monotonic() > deadline:
                    process.kill()
                elif process.pid not in told:
                    told.add(process.pid)
                    process.send_signal(signal.SIGINT)  # to Postgres: without waiting for clients
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()
    clear(sys.argv[1])
