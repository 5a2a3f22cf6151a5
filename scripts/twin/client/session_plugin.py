"""The session-manager-plugin for sessions in the twin, run as a program.

It takes the arguments that `aws ecs execute-command` gives AWS's plugin, and like that one it does
not pass on the command's exit code.
"""

import signal

if __name__ == "__main__":
    # Before the session a Ctrl-C ends this without a traceback; the imports below take a while.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio
import json
import os
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

INSTALLED = (
    "\nThe Session Manager plugin was installed successfully. Use the AWS CLI to start a session.\n"
)
VERSION = "1.2.0.0"
CHUNK_BYTES = 64 * 1024


def main(arguments: list[str]) -> int:
    """Run one session; returns 0 for any exit code of the command."""
    if not arguments:
        _show(INSTALLED)
        return 0
    if arguments == ["--version"]:
        _show(VERSION + "\n")
        return 0
    session: dict[str, str] = json.loads(arguments[0])
    _show(f"\nStarting session with SessionId: {session['sessionId']}\n")
    try:
        with _raw_terminal():
            why = asyncio.run(Client(session).run())
    except (aiohttp.ClientError, OSError) as error:
        sys.stderr.write(f"the session cannot be opened: {error}\n")
        return 1
    if why:
        _show(f"\n{why}\n")
    _show(f"\n\nExiting session with sessionId: {session['sessionId']}.\n\n")
    return 0


class Client:
    """Connects this terminal, or this pipe, to a session."""

    def __init__(self, session: dict[str, str]) -> None:
        self._session = session
        self._is_terminal = os.isatty(0)

    async def run(self) -> str:
        """Run until the session ends. Returns the reason if the command did not end by itself.
        Raises `ClientError`."""
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(self._session["streamUrl"], max_msg_size=0) as socket,
        ):
            hello = {
                "token": self._session["tokenValue"],
                "terminal": self._is_terminal,
                "term": os.environ.get("TERM"),  # noqa: TID251 - of this very terminal
                "size": self._size(),
            }
            await socket.send_json(hello)
            self._heed_signals(socket)
            loop = asyncio.get_running_loop()
            # In a thread: asyncio cannot wait for every kind of standard input.
            threading.Thread(target=self._read, args=(loop, socket), daemon=True).start()
            async for message in socket:
                if message.type == aiohttp.WSMsgType.BINARY:
                    _show_bytes(message.data)
                elif message.type == aiohttp.WSMsgType.TEXT:
                    return str(json.loads(message.data).get("over") or "")
            if socket.close_code in (4400, 4403):
                raise aiohttp.ClientError("no such session, or it was used before")
            return "the local twin has gone"

    def _heed_signals(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        pending: set[asyncio.Task[None]] = set()

        def send(**message: Any) -> None:
            task = loop.create_task(socket.send_json(message))
            pending.add(task)
            task.add_done_callback(pending.discard)

        # A terminal in raw mode sends Ctrl-C as a byte; otherwise it is a signal to pass on.
        loop.add_signal_handler(signal.SIGINT, lambda: send(interrupt=True))
        if self._is_terminal:
            loop.add_signal_handler(signal.SIGWINCH, lambda: send(size=self._size()))

    def _read(
        self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        try:
            while data := os.read(0, CHUNK_BYTES):
                asyncio.run_coroutine_threadsafe(socket.send_bytes(data), loop).result()
            asyncio.run_coroutine_threadsafe(socket.send_json({"end": True}), loop).result()
        except (OSError, RuntimeError):
            return  # the session is over

    def _size(self) -> list[int] | None:
        if not self._is_terminal:
            return None
        size = os.get_terminal_size(0)
        return [size.lines, size.columns]


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Sends every key to the command during the block, and restores the terminal after it."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSANOW)  # keeps what was typed before
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _show(text: str) -> None:
    _show_bytes(text.encode())


def _show_bytes(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
