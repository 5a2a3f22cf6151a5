"""Adds to every answer a request id, security headers and a line in the log."""

import re
import secrets
import time

import structlog
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, HTTPScope, Message, Receive, Scope, Send

from service import observers
from service.console.saq_pages import STATIC_PATH
from service.contract import CONSOLE_PATH, LIVE_PATH, READY_PATH, UI_PATH
from service.problem import problem, send_response
from service.queue.tasks.origin import ORIGIN, REQUEST_ID, of_request

HSTS = f"max-age={365 * 86400}"
SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
CONSOLE_STATIC = f"{CONSOLE_PATH}/static/"
NO_SCRIPTS = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

log = structlog.stdlib.get_logger("api")


class Envelope:
    """The outermost layer, so that it also covers unknown paths and the answers of other layers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.ui_policy = NO_SCRIPTS  # for SAQ's pages, until `content_policy` has read them

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            request_id = _request_id(scope)
            path = scope["raw_path"].decode("ascii", "replace")
            before = ORIGIN.set(of_request(request_id, scope["method"], path))
            try:
                with structlog.contextvars.bound_contextvars(**{REQUEST_ID: request_id}):
                    await self._answer(scope, receive, send, request_id)
            finally:
                ORIGIN.reset(before)
        else:
            await self.app(scope, receive, send)

    async def _answer(
        self, scope: HTTPScope, receive: Receive, send: Send, request_id: str
    ) -> None:
        started = time.perf_counter()
        status = 0

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(scope["path"], request_id, message)
                if _came_by_https(scope):
                    headers = MutableScopeHeaders.from_message(message)
                    headers["Strict-Transport-Security"] = HSTS
            await send(message)

        try:
            await self.app(scope, receive, send_enveloped)
        except Exception as error:
            log.exception("unexpected error")
            if observers.errors is not None:
                observers.errors.request_failed(error, scope["method"], scope.get("path_template"))
            if not status:
                await send_response(problem(scope["path"], 500), scope, receive, send_enveloped)
        finally:
            if scope["path"] not in {LIVE_PATH, READY_PATH} or status >= 400:
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["raw_path"].decode("ascii", "replace"),
                    status=status or None,  # None: the client disconnected before the answer
                    ms=round((time.perf_counter() - started) * 1000, 1),
                )

    def _add_headers(self, path: str, request_id: str, message: HTTPResponseStartEvent) -> None:
        headers = MutableScopeHeaders.from_message(message)
        is_ui = path == UI_PATH or path.startswith(f"{UI_PATH}/")
        is_static = path.startswith((STATIC_PATH, CONSOLE_STATIC)) and message["status"] == 200
        headers["X-Request-Id"] = request_id
        if is_ui:
            headers["Content-Security-Policy"] = self.ui_policy
        else:  # an application that a domain mounts knows what its pages need
            headers.setdefault("Content-Security-Policy", NO_SCRIPTS)
        headers["Cache-Control"] = "private, max-age=3600" if is_static else "no-store"
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers.setdefault("Referrer-Policy", "no-referrer")


def _came_by_https(scope: HTTPScope) -> bool:
    """Did the client use HTTPS? A client that forges the header only changes its own answer."""
    return scope["scheme"] == "https" or (b"x-forwarded-proto", b"https") in scope["headers"]


def _request_id(scope: HTTPScope) -> str:
    """The caller's request id if it is well-formed, for traces across services, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and SANE_REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return secrets.token_hex(8)
