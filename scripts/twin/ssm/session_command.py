"""The command of a session, run as a process in the environment of a container."""

import asyncio
import errno
import fcntl
import json
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from aiohttp import WSMsgType, web

from scripts.twin.ssm import terminal

HANG_UP_SECONDS = 2.0  # between SIGHUP and SIGKILL
POLL_SECONDS = 0.05
CHUNK_BYTES = 64 * 1024
END_OF_INPUT = b"\x04"


class Shell:
    """The command's process, on a terminal if the client has one, otherwise on pipes."""

    def __init__(self, container: Any, command: str, hello: dict[str, Any]) -> None:
        self._container = container
        self._is_terminal = bool(hello.get("terminal"))
        self._active_at = time.monotonic()
        if self._is_terminal:
            mine, its = pty.openpty()
            self._input = self._output = mine
            ends = (its, its)
        else:
            its_input, self._input = os.pipe()
            self._output, its_output = os.pipe()
            ends = (its_input, its_output)
        try:
            self._resize(hello.get("size"))
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(terminal.__file__)),
                 *shlex.split(command)],
                stdin=ends[0], stdout=ends[1], stderr=ends[1],
                cwd=container.folder,
                env={**container.environment, "TERM": str(hello.get("term") or "dumb")},
                start_new_session=True,
            )  # fmt: skip
        finally:
            for end in set(ends):
                os.close(end)
        for end in {self._input, self._output}:
            os.set_blocking(end, False)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code as in a shell: 128 plus the number of a signal."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    async def watch(self, idle_seconds: float, listening: "asyncio.Task[None]") -> str | None:
        """Wait for the end: None if the command has ended by itself, else why it must end."""
        while self._process.poll() is None:
            if not self._container.is_running:
                return "the ECS task has ended"
            if time.monotonic() - self._active_at > idle_seconds:
                return f"the session was idle for {idle_seconds / 60:g} minutes"
            if listening.done():
                return "the client has left"
            await asyncio.sleep(POLL_SECONDS)
        return None

    async def send_output(self, socket: web.WebSocketResponse) -> None:
        """Send the output until its end; a slow client slows the command down."""
        while data := await self._read():
            self._active_at = time.monotonic()
            await socket.send_bytes(data)

    async def receive(self, socket: web.WebSocketResponse) -> None:
        """Pass on the client's messages until it leaves."""
        async for message in socket:
            self._active_at = time.monotonic()
            if message.type == WSMsgType.BINARY:
                await self._write(message.data)
            elif message.type == WSMsgType.TEXT:
                said = json.loads(message.data)
                if said.get("end"):
                    await self._end_input()
                if said.get("interrupt"):
                    self._send(signal.SIGINT)
                self._resize(said.get("size"))

    async def hang_up(self) -> None:
        """Send SIGHUP to all processes of the session, and SIGKILL to those that stay."""
        await asyncio.to_thread(self._end_all)
        for end in {self._input, self._output}:
            if end >= 0:
                os.close(end)

    def _end_all(self) -> None:
        # Not by the process group: a shell gives background commands a group of their own.
        processes = [each for each in psutil.process_iter() if _is_in_session(each.pid, self.pid)]
        for number, seconds in ((signal.SIGHUP, HANG_UP_SECONDS), (signal.SIGKILL, None)):
            for each in processes:
                with suppress(psutil.Error):
                    each.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            psutil.wait_procs(
                [each for each in processes if each.pid != self.pid], timeout=seconds or 0
            )

    async def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._output, CHUNK_BYTES)
            except BlockingIOError:
                await _ready(self._output, for_reading=True)
            except OSError as error:
                if error.errno == errno.EIO:  # no process has the terminal open any more
                    return b""
                raise

    async def _write(self, data: bytes) -> None:
        while data and self._input >= 0:
            try:
                data = data[os.write(self._input, data) :]
            except BlockingIOError:
                await _ready(self._input, for_reading=False)
            except OSError:
                return  # the command has closed its input

    async def _end_input(self) -> None:
        if self._is_terminal:
            await self._write(END_OF_INPUT)
        elif self._input >= 0:
            os.close(self._input)
            self._input = -1

    def _resize(self, size: list[int] | None) -> None:
        if size and self._is_terminal:
            rows, columns = size
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _is_in_session(pid: int, leader: int) -> bool:
    try:
        return os.getsid(pid) == leader
    except OSError:  # it has ended, or belongs to another user
        return False


async def _ready(descriptor: int, *, for_reading: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    add = loop.add_reader if for_reading else loop.add_writer
    remove = loop.remove_reader if for_reading else loop.remove_writer
    add(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        remove(descriptor)
