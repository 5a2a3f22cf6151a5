"""Sessions in running ECS tasks: the server side of Session Manager.

A client opens a WebSocket and sends the session's token. From then on binary messages carry input
and output. Text messages are JSON: the client sends `size` (rows and columns), `end` (of its input)
and `interrupt`; the server sends `exit` (the exit code) or `over` (why there is none).
"""

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from scripts.host.guard import Guard
from scripts.twin.ssm.session_command import Shell

IDLE_SECONDS = 20 * 60.0  # as in ECS
TOKEN_SECONDS = 60.0  # how long the client may take after ExecuteCommand
HELLO_SECONDS = 10.0
LAST_OUTPUT_SECONDS = 5.0


@dataclass(eq=False)
class Session:
    """A command that a client with the token may run once in a container."""

    container: Any
    command: str
    id: str = field(default_factory=lambda: f"ecs-execute-command-{secrets.token_hex(9)[:17]}")
    token: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    opened: float = field(default_factory=time.monotonic)


class Sessions:
    """All sessions of one twin. They end with their ECS tasks, or by `close`."""

    path = "/v1/data-channel/{id}"

    def __init__(
        self, url: str, guard: Guard | None, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._url = url.replace("http://", "ws://")
        self._guard = guard
        self._idle_seconds = idle_seconds
        self._waiting: dict[str, Session] = {}
        self._running: set[asyncio.Task[Any]] = set()

    def open(self, container: Any, command: str) -> Session:
        """A new session, for which the client has `TOKEN_SECONDS`."""
        oldest = time.monotonic() - TOKEN_SECONDS
        for each in list(self._waiting.values()):
            if each.opened < oldest:
                self._waiting.pop(each.id, None)
        session = Session(container, command)
        self._waiting[session.id] = session
        return session

    def url_of(self, session: Session) -> str:
        return self._url + self.path.replace("{id}", session.id)

    async def close(self) -> None:
        """End every session."""
        self._waiting.clear()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one client until its command ends."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            hello = await socket.receive_json(timeout=HELLO_SECONDS)
            session = self._waiting.get(request.match_info["id"])
            if session is None or not secrets.compare_digest(session.token, hello["token"]):
                await socket.close(code=4403, message=b"no such session, or it was used")
                return socket
            del self._waiting[session.id]
        except (TypeError, ValueError, KeyError, TimeoutError):
            await socket.close(code=4400, message=b"not a client of sessions")
            return socket
        work = asyncio.create_task(self._run(session, hello, socket))
        self._running.add(work)
        try:
            await work
        except asyncio.CancelledError:
            with suppress(OSError):
                await socket.send_json({"over": "the local twin stops"})
        finally:
            self._running.discard(work)
            await socket.close()
        return socket

    async def _run(
        self, session: Session, hello: dict[str, Any], socket: web.WebSocketResponse
    ) -> None:
        shell = Shell(session.container, session.command, hello)
        if self._guard:
            self._guard.watch(shell.pid)
        try:
            receiving = asyncio.create_task(shell.receive(socket))
            sending = asyncio.create_task(shell.send_output(socket))
            why = await shell.watch(self._idle_seconds, receiving)
            if why is None:
                # Not for ever: a child of the command may hold its output open.
                await asyncio.wait([sending], timeout=LAST_OUTPUT_SECONDS)
                await socket.send_json({"exit": shell.code})
            else:
                await socket.send_json({"over": why})
        except OSError:
            pass  # the client has left
        finally:
            receiving.cancel()
            sending.cancel()
            await asyncio.gather(receiving, sending, return_exceptions=True)
            await asyncio.shield(shell.hang_up())
            if self._guard:
                self._guard.forget(shell.pid)
