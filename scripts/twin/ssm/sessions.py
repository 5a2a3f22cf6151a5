"""Shells in running ECS tasks: the twin's end of what Session Manager does on AWS.

A client opens a WebSocket and says the session's token; from then on binary messages are what is
typed and what is shown. Text messages are JSON: from the client `size` (rows and columns), `end`
(of its input) and `interrupt`; to it `exit` (the command's code) or `over` (why there is none).
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

IDLE_SECONDS = 20 * 60.0  # ECS's own
TOKEN_SECONDS = 60.0  # between ExecuteCommand and the client
HELLO_SECONDS = 10.0
LAST_OUTPUT_SECONDS = 5.0


@dataclass(eq=False)
class Session:
    """A command that may be run once in a container, by whoever knows the token."""

    container: Any
    command: str
    id: str = field(default_factory=lambda: f"ecs-execute-command-{secrets.token_hex(9)[:17]}")
    token: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    opened: float = field(default_factory=time.monotonic)


class Sessions:
    """All of one twin. `close` ends them; without it they end with their ECS tasks."""

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
        """A session that waits for its client, not for long."""
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
        """Hang up everywhere."""
        self._waiting.clear()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One client, from its first word to the end of its command."""
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
            listening = asyncio.create_task(shell.hear(socket))
            telling = asyncio.create_task(shell.tell(socket))
            why = await shell.watch(self._idle_seconds, listening)
            if why is None:
                await asyncio.wait(
                    [telling], timeout=LAST_OUTPUT_SECONDS
                )  # what it left behind may hold its output
                await socket.send_json({"exit": shell.code})
            else:
                await socket.send_json({"over": why})
        except OSError:
            pass  # the client is gone
        finally:
            listening.cancel()
            telling.cancel()
            await asyncio.gather(listening, telling, return_exceptions=True)
            await asyncio.shield(shell.hang_up())
            if self._guard:
                self._guard.forget(shell.pid)
