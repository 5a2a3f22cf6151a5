"""The tests leave no server behind, however they end."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, until
from tests.scripts.conftest import are_gone

SLEEPER = """
import time
from tests.service.api.api_process import start_api

def test_that_does_not_end(postgres, processes):
    print("started", start_api(processes).process.pid, postgres, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
async def test_server_and_processes_end_with_a_pytest_that_is_killed(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "test_sleeper.py").write_text(SLEEPER)
    inner = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "tests.conftest",
         "-p", "no:cacheprovider", f"--rootdir={ROOT}", f"--config-file={ROOT}/pyproject.toml",
         str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
        # under nohup the signal is ignored, and a child inherits that
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    try:
        assert inner.stdout is not None
        with inner.stdout:
            _, pid, address = next(line for line in inner.stdout if "started" in line).split()
        folder = Path(address.partition("?host=")[2])
        server = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
        api = psutil.Process(int(pid))
    finally:
        inner.send_signal(number)
        inner.wait(10)
    await until(lambda: not folder.parent.exists(), seconds=40, what="its folder is gone")
    await until(lambda: are_gone([server, api]), what="server and API are gone")
