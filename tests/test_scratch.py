"""The tests leave no server behind, however they end."""

import subprocess
import sys
from pathlib import Path

import psutil

from tests.conftest import ROOT, until
from tests.scripts.conftest import are_gone

SLEEPER = """
import time
from tests.service.api.api_process import start_api

def test_that_does_not_end(postgres, processes):
    print("started", start_api(processes).process.pid, postgres, flush=True)
    time.sleep(600)
"""


async def test_server_and_processes_end_with_a_pytest_that_is_killed(tmp_path: Path) -> None:
    """SIGHUP, of a terminal that is closed, leaves it no more time."""
    (tmp_path / "test_sleeper.py").write_text(SLEEPER)
    inner = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "tests.conftest",
         "-p", "no:cacheprovider", f"--rootdir={ROOT}", f"--config-file={ROOT}/pyproject.toml",
         str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert inner.stdout is not None
        with inner.stdout:
            _, pid, address = next(line for line in inner.stdout if "started" in line).split()
        folder = Path(address.partition("?host=")[2])
        server = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
        api = psutil.Process(int(pid))
    finally:
        inner.kill()
        inner.wait(10)
    await until(lambda: not folder.parent.exists(), seconds=40, what="its folder is gone")
    await until(lambda: are_gone([server, api]), what="server and API are gone")
