"""A session in a container, run by session-manager-plugin in this terminal or on a pipe."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from scripts.aws import Answer, Aws
from scripts.aws_errors import explain_refusal, is_refusal
from scripts.errors import OperatorError, UnreachableError
from scripts.session.transcript import Transcript, wrap

PLUGIN = "session-manager-plugin"
INSTALL = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "session-manager-working-with-install-plugin.html (on macOS: "
    "`brew install --cask session-manager-plugin`)"
)
SHELL = "/bin/sh"
CHUNK_BYTES = 64 * 1024
CLOSE_SECONDS = 5  # what the plugin may need after the command has ended
INTERRUPTED = 130


class PluginError(OperatorError):
    """session-manager-plugin is not installed, or could not open the session."""


@dataclass(frozen=True)
class SessionTarget:
    """A container of a running ECS task, as a session addresses it."""

    cluster: str
    ecs_task: str  # its id
    name: str
    runtime_id: str

    @property
    def target(self) -> str:
        return f"ecs:{self.cluster}_{self.ecs_task}_{self.runtime_id}"


def find_plugin(*, is_local: bool) -> list[str]:
    """The command of AWS's plugin, or of the twin's own, which takes the same arguments.

    Raises `PluginError` where AWS's is not installed.
    """
    if is_local:
        return [sys.executable, "-m", "scripts.twin.client.session_plugin"]
    found = shutil.which(PLUGIN)
    if found is None:
        raise PluginError(f"{PLUGIN} is not on PATH", f"Install it: {INSTALL}")
    return [found]


def plugin_arguments(
    session: Answer, *, region: str, profile: str, request: dict[str, Any], endpoint: str
) -> list[str]:
    """The arguments that AWS's own command line gives the plugin."""
    known = {key: value for key, value in session.items() if key != "ResponseMetadata"}
    return [json.dumps(known), region, "StartSession", profile, json.dumps(request), endpoint]


def open_session(aws: Aws, container: SessionTarget, command: str) -> list[str]:
    """Make ECS start a session with `command`; returns the command line that joins the session.

    Raises `UnreachableError` where the ECS task is not connected to Systems Manager.
    """
    plugin = find_plugin(is_local=aws.target.is_local)
    try:
        answer = aws.call(
            "ecs", "execute_command", cluster=container.cluster, task=container.ecs_task,
            container=container.name, interactive=True, command=command,
        )  # fmt: skip
    except OperatorError as error:
        if "TargetNotConnected" in str(error) or "internal error" in str(error):
            raise not_connected(container) from None
        raise
    request = {"Target": container.target}
    return plugin + plugin_arguments(
        answer["session"], region=aws.region, profile=aws.profile,
        request=request, endpoint=aws.endpoint("ssm"),
    )  # fmt: skip


def not_connected(container: SessionTarget) -> UnreachableError:
    """The error for an ECS task whose agent has no connection to Systems Manager."""
    return UnreachableError(
        f"ECS task {container.ecs_task} is not connected to Systems Manager",
        "Its task role needs the four ssmmessages actions (`enable_exec` in stages.toml gives "
        "them), and its subnets need a way to ssmmessages: a public address, NAT or the interface "
        "endpoint.",
    )


def hand_over(command_line: Sequence[str]) -> int:
    """Give the terminal to the session until it ends; returns the plugin's exit code as a shell
    would."""
    with terminal_for_session(), subprocess.Popen(command_line) as plugin:
        code = plugin.wait()
    return 128 - code if code < 0 else code


def run_command(
    aws: Aws, container: SessionTarget, command: Sequence[str], show: Callable[[bytes], None]
) -> int:
    """Run the command in the container and return its exit code. `show` gets its output, which
    contains standard error, as in a terminal."""
    nonce = secrets.token_hex(12)
    command_line = open_session(aws, container, wrap(command, nonce))
    transcript = Transcript(nonce)
    # The plugin fails at the end of its input ("Cannot perform start session: EOF",
    # https://github.com/aws/amazon-ssm-agent/issues/354), so it gets a pipe that stays open.
    stdin = None if sys.stdin.isatty() else subprocess.PIPE
    was_interrupted: list[int] = []
    with (
        terminal_for_session(was_interrupted.append),
        subprocess.Popen(
            command_line, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as plugin,
    ):
        try:
            _show_output(plugin, transcript, show)
        finally:
            plugin.terminate()  # has no effect where it has ended
    if transcript.exit_code is not None:
        return transcript.exit_code
    if was_interrupted:
        return INTERRUPTED
    said = transcript.instead or "the session ended before the command did"
    if is_refusal(said):  # AWS refused the plugin's own call, which uses the stage's key
        raise explain_refusal("ecs:ExecuteCommand", said, aws.target)
    raise PluginError(
        f"the session ended, but not the command: {said}",
        "`moor status` shows whether the ECS task still runs; a session without output for 20 "
        "minutes is closed.",
    )


def _show_output(
    plugin: "subprocess.Popen[bytes]", transcript: Transcript, show: Callable[[bytes], None]
) -> None:
    assert plugin.stdout is not None
    while transcript.exit_code is None:
        data = os.read(plugin.stdout.fileno(), CHUNK_BYTES)
        if not data:
            break
        show(transcript.feed(data))
    show(transcript.rest())
    with suppress(subprocess.TimeoutExpired):
        plugin.communicate(timeout=CLOSE_SECONDS)


@contextmanager
def terminal_for_session(note: Callable[[int], None] = lambda _: None) -> Iterator[None]:
    """Leaves Ctrl-C, Ctrl-\\ and Ctrl-Z to the plugin, which sends them to the remote side."""
    # Handlers that do nothing, because the plugin would inherit SIG_IGN.
    kept = {
        number: signal.signal(number, lambda number, _: note(number))
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
    }
    # The plugin turns echo off, and may end before it turns it on again.
    modes = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
    try:
        yield
    finally:
        if modes:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, modes)
        for number, handler in kept.items():
            signal.signal(number, handler)
