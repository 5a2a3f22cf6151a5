"""Sessions in ECS tasks: ExecuteCommand, and the stand-in for session-manager-plugin."""

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession, web
from botocore.exceptions import ClientError

from scripts.twin.ssm.sessions import Sessions
from tests.ports import free_port
from tests.scripts.conftest import ROOT, wait_until
from tests.twin.conftest import Ecs

SLEEP = str(10_000 + os.getpid())  # seconds, by which this run's commands are known


@pytest.fixture(scope="module")
def task(ecs: Ecs) -> str:
    """The ARN of an ECS task that runs and may be entered."""
    definition = ecs.define(
        {"command": ["wait"], "environment": [{"name": "COLOUR", "value": "blue"}]}
    )
    arn = ecs.run(definition, enableExecuteCommand=True)
    ecs.await_line(arn, "pid ")
    return arn


def execute(ecs: Ecs, task: str, command: str, **given: Any) -> dict[str, Any]:
    wanted = {"container": "main", "interactive": True, **given}
    answer = ecs.client.execute_command(cluster="test", task=task, command=command, **wanted)
    return dict(answer)


def arguments(ecs: Ecs, answer: dict[str, Any]) -> list[str]:
    """As `aws ecs execute-command` gives them to the plugin."""
    target = json.dumps({"Target": f"ecs:test_{answer['taskArn'].rpartition('/')[2]}_x"})
    session = json.dumps(answer["session"])
    return [session, ecs.twin.region, "StartSession", "", target, ecs.twin.endpoint]


def command_line(ecs: Ecs, answer: dict[str, Any]) -> list[str]:
    return [
        sys.executable,
        "-m",
        "scripts.twin.client.session_plugin",
        *arguments(ecs, answer),
    ]


def join(ecs: Ecs, task: str, command: str, given: str = "") -> str:
    """What a piped session shows, without the plugin's own words."""
    done = subprocess.run(
        command_line(ecs, execute(ecs, task, command)), cwd=ROOT,
        input=given, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.fullmatch(
        r"\nStarting session with SessionId: (\S+)\n(.*)"
        r"\n\nExiting session with sessionId: \1\.\n\n",
        done.stdout, re.DOTALL,
    )  # fmt: skip
    assert shown, done.stdout
    return shown[2]


class Terminal:
    """A session at a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        self._mine, its = pty.openpty()
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._mine, text.encode())

    def await_text(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._mine], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._mine, 65536).decode(errors="replace")
                except OSError:
                    pytest.fail(f"the session ended before {text!r}: {self.shown}")

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._mine, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)  # the kernel tells its own session alone

    def close(self) -> None:
        os.close(self._mine)
        self.process.kill()
        self.process.wait()


def test_session_is_in_the_environment_and_the_folder_of_the_container(ecs: Ecs, task: str) -> None:
    shown = join(ecs, task, "sh -c 'echo $COLOUR; echo $ECS_CONTAINER_METADATA_URI_V4; pwd; id -u'")
    colour, metadata, folder, user = shown.split()
    assert colour == "blue"
    assert metadata.startswith(ecs.twin.agent_url)
    pid = int(ecs.await_line(task, "pid "))
    assert (folder, int(user)) == (psutil.Process(pid).cwd(), psutil.Process(pid).uids().real)


def test_what_is_piped_in_reaches_the_command_and_its_output_comes_whole(
    ecs: Ecs, task: str
) -> None:
    given = "".join(f"{n}\n" for n in range(20_000))
    assert join(ecs, task, "cat", given) == given
    assert "no-such-program: No such file" in join(ecs, task, "no-such-program")


def test_terminal_has_its_size_and_ctrl_c_reaches_the_command_alone(ecs: Ecs, task: str) -> None:
    terminal = Terminal(command_line(ecs, execute(ecs, task, "/bin/sh")))
    try:
        terminal.type("echo $((6*7)); tty\n")
        terminal.await_text("42")
        terminal.await_text("/dev/")
        terminal.type("stty rows 33 cols 111; stty size\n")
        terminal.await_text("33 111")
        terminal.type("sh -c 'echo sleeps $((3*7)); exec sleep 600'\n")
        terminal.await_text("sleeps 21")
        terminal.type("\x03")
        terminal.type("echo still $((6*9))\n")
        terminal.await_text("still 54")
        assert terminal.process.poll() is None
        terminal.type("exit\n")
        terminal.await_text("Exiting session")
        assert terminal.process.wait(30) == 0
    finally:
        terminal.close()


def test_new_size_of_the_window_reaches_the_command(ecs: Ecs, task: str) -> None:
    terminal = Terminal(command_line(ecs, execute(ecs, task, "/bin/sh")))
    try:
        terminal.type("echo ready $((1+1))\n")
        terminal.await_text("ready 2")
        terminal.resize(44, 99)
        terminal.type("until stty size | grep '44 99'; do sleep 0.1; done; echo seen $((1+2))\n")
        terminal.await_text("seen 3")
    finally:
        terminal.close()


def test_interrupted_client_passes_it_on(ecs: Ecs, task: str) -> None:
    command = (
        "sh -c 'trap \"echo interrupted; exit 1\" INT; echo ready; while :; do sleep 0.1; done'"
    )
    client = subprocess.Popen(
        command_line(ecs, execute(ecs, task, command)), cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert client.stdout is not None
    while "ready" not in client.stdout.readline():
        assert client.poll() is None
    client.send_signal(signal.SIGINT)
    shown, _ = client.communicate(timeout=60)
    assert "interrupted" in shown
    assert client.returncode == 0


def test_client_that_is_interrupted_before_its_session_ends_without_a_word(
    ecs: Ecs, task: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = execute(ecs, task, "true")
        answer["session"]["streamUrl"] = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        client = subprocess.Popen(
            command_line(ecs, answer), cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with silent.accept()[0] as connection:
            connection.recv(1)  # it waits for an answer
            client.send_signal(signal.SIGINT)
            _, said = client.communicate(timeout=60)
    assert (client.returncode, said) == (-signal.SIGINT, "")


def test_token_opens_one_session(ecs: Ecs, task: str) -> None:
    answer = execute(ecs, task, "echo once")
    forged = {**answer, "session": {**answer["session"], "tokenValue": "x"}}
    for tried, code in ((forged, 1), (answer, 0), (answer, 1)):
        done = subprocess.run(
            command_line(ecs, tried), cwd=ROOT, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert ("once" in done.stdout) == (code == 0)


def test_session_ends_with_its_task_and_leaves_nothing(ecs: Ecs) -> None:
    arn = ecs.run(ecs.define({"command": ["wait"]}), enableExecuteCommand=True)
    ecs.await_line(arn, "pid ")
    # a shell that minds no SIGHUP, and one job of it that is a process group of its own
    command = f"sh -c 'trap \"\" HUP; set -m; sleep {SLEEP} & echo ready; wait'"
    client = subprocess.Popen(
        command_line(ecs, execute(ecs, arn, command)), cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert client.stdout is not None
    while "ready" not in client.stdout.readline():
        assert client.poll() is None
    wait_until(_sleepers, "its job runs")
    ecs.client.stop_task(cluster="test", task=arn)
    shown, _ = client.communicate(timeout=60)
    assert "the ECS task has ended" in shown
    wait_until(lambda: not _sleepers(), "nothing of it runs")


def _sleepers() -> list[int]:
    return [
        each.pid for each in psutil.process_iter(["cmdline"])
        if each.info["cmdline"] == ["sleep", SLEEP]
    ]  # fmt: skip


def test_command_ends_when_its_client_is_killed(ecs: Ecs, task: str) -> None:
    client = subprocess.Popen(
        command_line(ecs, execute(ecs, task, f"sh -c 'echo ready; exec sleep {SLEEP}'")), cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert client.stdout is not None
    while "ready" not in client.stdout.readline():
        assert client.poll() is None
    wait_until(_sleepers, "it runs")
    client.kill()
    client.communicate()
    wait_until(lambda: not _sleepers(), "it has ended")


def refused(ecs: Ecs, task: str, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        execute(ecs, task, "sh", **given)
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_what_ecs_would_refuse_is_refused(ecs: Ecs, task: str) -> None:
    closed = ecs.run(ecs.define({"command": ["wait"]}))
    ecs.await_line(closed, "pid ")
    assert refused(ecs, closed).startswith(
        "InvalidParameterException: The execute command failed because execute command was not "
        "enabled when the task was run"
    )
    assert refused(ecs, task, container="other").startswith("InvalidParameterException: ")
    assert refused(ecs, task[:-4] + "0000").startswith("InvalidParameterException: ")
    assert "Interactive is the only mode" in refused(ecs, task, interactive=False)
    ecs.client.stop_task(cluster="test", task=closed)
    ecs.await_stopped(closed)
    assert "stopped" in refused(ecs, closed)
    shown = ecs.task(task)["containers"][0]["managedAgents"]
    assert shown == [{"name": "ExecuteCommandAgent", "lastStatus": "RUNNING"}]


def test_session_in_which_nothing_happens_ends(tmp_path: Path) -> None:
    container = SimpleNamespace(environment={"PATH": os.defpath}, folder=tmp_path, is_running=True)
    port = free_port()
    sessions = Sessions(f"http://127.0.0.1:{port}", None, idle_seconds=1)
    session = sessions.open(container, "cat")

    async def join() -> str:
        application = web.Application()
        application.router.add_get(sessions.path, sessions.serve)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with ClientSession() as http, http.ws_connect(sessions.url_of(session)) as socket:
            await socket.send_json({"token": session.token})
            said = await socket.receive_json(timeout=30)
        await runner.cleanup()
        return str(said["over"])

    assert asyncio.run(join()).startswith("the session was idle for")


def test_plugin_says_that_it_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.twin.client.session_plugin"], cwd=ROOT,
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "The Session Manager plugin was installed successfully." in done.stdout
