"""The tests leave no server behind, however they end."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, until

SLEEPER = """
import time

def test_that_does_not_end(postgres: str) -> None:
    print(postgres, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
async def test_the_test_server_ends_with_a_pytest_that_is_killed(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "test_sleeper.py").write_text(SLEEPER)
    inner = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "tests.conftest",
         "-p", "no:cacheprovider", f"--rootdir={ROOT}", f"--config-file={ROOT}/pyproject.toml",
         str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert inner.stdout is not None
    with inner.stdout:
        address = next(line for line in inner.stdout if "postgresql://" in line)
    folder = Path(address.strip().partition("?host=")[2])
    server = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))

    inner.send_signal(number)

    inner.wait(10)
    await until(lambda: not server.is_running(), seconds=20, what="the server is gone")
    await until(lambda: not folder.parent.exists(), what="its folder is gone")
