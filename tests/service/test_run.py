"""What the image does beside its processes: it runs another program, and lists its queues."""

import json
import os
import signal
import subprocess
import sys

from tests.conftest import ROOT

RUN = [sys.executable, "-m", "service", "run"]


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*RUN, *command], cwd=ROOT, env={"PATH": os.environ["PATH"], "GIVEN": "yes"},  # noqa: TID251
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_program_gets_its_arguments_and_environment_and_its_exit_code_is_passed_on() -> None:
    script = "import os, sys; print(sys.argv[1:], os.environ['GIVEN']); sys.exit(7)"
    result = run(sys.executable, "-c", script, "a b", "$HOME")
    assert (result.returncode, result.stdout) == (7, "['a b', '$HOME'] yes\n")


def test_program_is_the_process_that_gets_the_signals() -> None:
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with subprocess.Popen(
        [*RUN, sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert int(child.stdout.readline()) == child.pid
        child.terminate()
        assert child.wait(30) == -signal.SIGTERM


def test_program_that_is_not_there_is_named() -> None:
    result = run("no-such-program")
    assert result.returncode == 127
    assert "no program 'no-such-program'" in result.stderr


def test_run_without_a_program_shows_the_usage() -> None:
    result = run()
    assert result.returncode == 2
    assert "run PROGRAM..." in result.stderr


def test_queues_of_the_tasks_are_listed_without_settings_and_database() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "service", "queues"], cwd=ROOT,
        env={"PATH": os.environ["PATH"]},  # noqa: TID251
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    queues = json.loads(listed.stdout)
    assert "default" in queues
    for found in queues.values():
        assert found.keys() == {"tasks", "schedules"}
        assert set(found["schedules"]) <= set(found["tasks"])
