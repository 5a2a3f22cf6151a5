"""A command that ends with who started it, however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from scripts.twin.client.cdk import DIE_WITH_PARENT
from tests.scripts.conftest import are_gone, wait_until

STARTER = """
import subprocess, sys
subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True).wait()
"""


def test_a_command_and_what_it_started_end_when_their_starter_is_killed(tmp_path: Path) -> None:
    script = f"sleep 1234 & echo $$ $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids; wait"
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, *DIE_WITH_PARENT, "sh", "-c", script]
    )
    pids = tmp_path / "pids"
    wait_until(pids.exists, "the command runs")
    (child,) = psutil.Process(starter.pid).children()
    running = [child, *(psutil.Process(int(pid)) for pid in pids.read_text().split())]

    starter.kill()
    starter.wait()

    wait_until(lambda: are_gone(running), "all gone")


def test_it_ends_with_its_command_and_not_before(tmp_path: Path) -> None:
    script = f'trap "sleep 1; touch {tmp_path}/ended; exit 3" TERM; echo; sleep 1234 & wait'
    with subprocess.Popen(
        [*DIE_WITH_PARENT, "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        os.killpg(child.pid, signal.SIGTERM)
        assert child.wait() == 3
    assert (tmp_path / "ended").exists()


def test_its_exit_code_is_the_commands() -> None:
    for script, code in (("exit 7", 7), ("kill -KILL $$", 137)):
        with subprocess.Popen(
            [*DIE_WITH_PARENT, "sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True
        ) as child:
            assert child.wait() == code
