"""`moor exec` as a process of its own, with a plugin that behaves as AWS's does."""

import os
import pty
import select
import shlex
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.cli import main
from scripts.commands.exec import split
from scripts.session.transcript import Transcript, wrap
from tests.conftest import ROOT
from tests.scripts.cloud import client
from tests.scripts.conftest import MOOR, wait_until
from tests.scripts.stage import backend

pytest_plugins = ["tests.scripts.conftest_served"]

SECONDS = 60


@pytest.fixture
def environment(tmp_path: Path, served: dict[str, str]) -> dict[str, str]:
    """With the plugin on PATH."""
    plugin = tmp_path / "bin" / "session-manager-plugin"
    plugin.parent.mkdir()
    script = Path(__file__).parents[1] / "plugin.py"
    plugin.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {script} "$@"\n')
    plugin.chmod(0o755)
    path = os.environ["PATH"]  # noqa: TID251
    return {**served, "PATH": f"{plugin.parent}:{path}"}


def run(
    environment: dict[str, str], *command: str, **given: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*MOOR, "exec", "worker", "--stage", "dev", "--", *command],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS,
        **({"input": given["input"]} if given else {"stdin": subprocess.DEVNULL}),
    )  # fmt: skip


def test_output_and_exit_code_are_the_commands_own(environment: dict[str, str]) -> None:
    script = "import sys; print('out'); print('it\\'s \"$HOME\"', end=''); sys.exit(7)"
    result = run(environment, sys.executable, "-c", script)
    assert result.stdout == 'out\nit\'s "$HOME"', "without a last newline it stays so"
    assert result.returncode == 7
    assert "SessionId" not in result.stderr


def test_command_that_is_not_there_gives_the_shells_exit_code(environment: dict[str, str]) -> None:
    result = run(environment, "no-such-program")
    assert result.returncode == 127
    assert "no-such-program" in result.stdout


def test_it_works_in_a_pipe_whose_end_has_come(environment: dict[str, str]) -> None:
    result = run(environment, "echo", "still here", input="")
    assert (result.stdout, result.returncode) == ("still here\n", 0)


def test_what_is_no_process_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exec", "wrker", "--stage", "dev", "--", "true"]) == 2
    assert "error: 'wrker' is not one of api, worker" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "process", "command"),
    [
        ([], "worker", []),
        (["api"], "api", []),
        (["api", "--", "ps", "--", "ax"], "api", ["ps", "--", "ax"]),
        (["--", "api"], "worker", ["api"]),
        (["worker", "ps", "ax"], "worker", ["ps", "ax"]),
    ],
)
def test_the_process_is_before_the_command(
    words: list[str], process: str, command: list[str]
) -> None:
    assert split(words) == (process, command)


def test_a_shell_without_a_terminal_is_refused(environment: dict[str, str]) -> None:
    result = run(environment)
    assert result.returncode == 1
    assert "a shell needs a terminal" in result.stderr


def test_missing_plugin_is_named_with_where_to_get_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "bin" / "session-manager-plugin").unlink()
    result = run(environment, "true")
    assert result.returncode == 1
    assert "session-manager-plugin is not on PATH" in result.stderr
    assert "https://docs.aws.amazon.com/" in result.stderr


def test_session_that_does_not_begin_shows_what_the_plugin_says(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    plugin = tmp_path / "bin" / "session-manager-plugin"
    plugin.write_text("#!/bin/sh\necho 'An error of its own'; exit 255\n")
    result = run(environment, "true")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "An error of its own" in result.stderr


def test_ctrl_c_ends_the_remote_command_and_not_us_before_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    began = tmp_path / "began"
    script = f": >{began}; exec sleep 100"  # one process: it has Ctrl-C whenever that comes
    with subprocess.Popen(
        [*MOOR, "exec", "worker", "--stage", "dev", "--", "sh", "-c", script],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,
    ) as child:  # fmt: skip
        wait_until(began.exists, "the command runs")
        os.killpg(child.pid, signal.SIGINT)
        assert child.wait(SECONDS) == 130


class Terminal:
    """A terminal with `moor …` in it."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(ROOT)
            os.execve(words[0], words, environment)
        self._shown = b""

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def await_text(self, text: str) -> None:
        wait_until(lambda: self._shows(text.encode()), text)

    def await_end(self) -> int:
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)

    @property
    def shown(self) -> str:
        return self._shown.decode()

    def _shows(self, text: bytes) -> bool:
        if text not in self._shown:
            if not select.select([self._terminal], [], [], 1)[0]:
                return False
            try:
                self._shown += os.read(self._terminal, 4096)
            except OSError:  # so ends a terminal on Linux
                pytest.fail(self._shown.decode())
        return text in self._shown


def test_shell_has_the_terminal_for_itself(environment: dict[str, str]) -> None:
    terminal = Terminal([*MOOR, "exec", "--stage", "dev"], environment)
    terminal.await_text("Starting session")
    terminal.type("echo $((6 * 7))\n")
    terminal.await_text("42")
    # One that says itself that it sleeps: Ctrl-C would not end what has not begun.
    terminal.type("sh -c 'echo pid-$$-; exec sleep 100'\n")
    terminal.await_text("-\r\r\n")  # through two terminals
    terminal.type("\x03")
    # Before it is gone: Ctrl-C would take with it what has been typed.
    sleeping = int(terminal.shown.rpartition("pid-")[2].partition("-")[0])
    wait_until(lambda: not psutil.pid_exists(sleeping), "sleep has ended")
    terminal.type("echo after-$((1 + 1)); exit 3\n")
    terminal.await_text("after-2")
    terminal.await_text("Exiting session")
    assert terminal.await_end() == 0


def test_ctrl_c_in_a_terminal_ends_the_remote_command(environment: dict[str, str]) -> None:
    script = "echo pid-$$-; exec sleep 100"
    words = [*MOOR, "exec", "worker", "--stage", "dev", "--", "sh", "-c", script]
    terminal = Terminal(words, environment)
    terminal.await_text("-\r\n")
    terminal.type("\x03")
    assert terminal.await_end() == 130
    assert not psutil.pid_exists(int(terminal.shown.split("-")[1]))


def test_ctrl_c_before_the_session_begins_is_an_interruption(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    plugin = tmp_path / "bin" / "session-manager-plugin"
    plugin.write_text("#!/bin/sh\necho connect''ing; exec sleep 100\n")
    terminal = Terminal([*MOOR, "exec", "--stage", "dev"], environment)
    terminal.await_text("connecting")
    terminal.type("\x03")
    assert terminal.await_end() == 130


def test_debug_leaves_nothing_behind(environment: dict[str, str]) -> None:
    terminal = Terminal([*MOOR, "debug", "--stage", "dev", "--for", "10m"], environment)
    terminal.await_text("it ends by itself after 10 min")
    terminal.await_text("Starting session")
    terminal.type("echo $((6 * 7)); exit\n")
    terminal.await_text("42")
    terminal.await_text("stopped ECS task")
    assert terminal.await_end() == 0
    definitions = client("ecs").list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
    assert [arn for arn in definitions if "debug" in arn] == []
    tasks = [task for tasks in backend().tasks.values() for task in tasks.values()]
    stopped = [task for task in tasks if task.desired_status == "STOPPED"]
    assert [task.started_by for task in stopped] == ["moor-debug"]
    assert len([task for task in tasks if task.desired_status == "RUNNING"]) == 1


BYTES = st.binary(max_size=40) | st.text("abc123:\r\n", max_size=40).map(str.encode)


@given(st.lists(BYTES, max_size=6), st.integers(0, 255), st.lists(st.integers(0, 300), max_size=8))
def test_output_comes_out_whole_however_it_is_cut(
    pieces: list[bytes], code: int, cuts: list[int]
) -> None:
    nonce = "abc123"
    output = b"".join(pieces).replace(nonce.encode(), b"").replace(b"\r", b"")
    stream = (
        b"\nStarting session with SessionId: x\r\n" + b"abc123:" + output.replace(b"\n", b"\r\n")
        + b"abc123%d:" % code + b"\n\nExiting session with sessionId: x.\n\n"
    )  # fmt: skip
    edges = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    transcript = Transcript(nonce)
    shown = b""
    for start, end in pairwise(edges):
        shown += transcript.feed(stream[start:end])
    assert shown + transcript.rest() == output
    assert transcript.exit_code == code


def test_prompt_is_shown_while_the_command_waits_for_an_answer() -> None:
    transcript = Transcript("abc123")
    assert transcript.feed(b"banner\nabc123:Your name? ") == b"Your name? "


def test_mark_is_not_in_the_command_line() -> None:
    assert "abcd1234" not in wrap(["ps", "ax"], "abcd1234")
