"""What the guard ends when the twin is killed: what still runs, and nothing that has its number."""

import subprocess
import sys
from pathlib import Path

from scripts.host.guard import Guard
from tests.scripts.conftest import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_killed_twin_takes_along_what_it_has_and_not_what_it_has_let_go(home: Path) -> None:
    home.mkdir()
    guard = Guard(home, seconds=2, lock=None)
    with subprocess.Popen(SLEEP) as kept, subprocess.Popen(SLEEP) as let_go:
        try:
            for each in (kept, let_go):
                guard.watch(each.pid)
            guard.forget(let_go.pid)
            assert guard._process.stdin is not None
            guard._process.stdin.close()  # as the kernel does for a twin that is killed
            wait_until(lambda: kept.poll() is not None, "the guard ends what is left")
            guard._process.wait()
            assert let_go.poll() is None
        finally:
            kept.kill()
            let_go.kill()
