"""The methods of a path, for OPTIONS and the header Allow; and HEAD, which is run as GET."""

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, HTTPScope, Message, Receive, Scope, Send

ANY_PATH = "/*"  # the path of `OPTIONS *`, which means the whole server (RFC 9110, 9.3.7)
ALL = "DELETE, GET, HEAD, OPTIONS, POST"


class Methods:
    """Answers OPTIONS with every method of the path, and HEAD where there is a GET.

    Litestar's own answer to OPTIONS only has the methods of the first handler of a path, and
    Litestar does not answer HEAD.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
        elif scope["method"] != "OPTIONS":

            async def send_allow(message: Message) -> None:
                _complete_allow(message)
                await send(message)

            if scope["method"] == "HEAD":  # the server leaves out the body
                scope = {**scope, "method": "GET"}
            await self.app(scope, receive, send_allow)
        elif scope["path"] == ANY_PATH:
            await _no_content(send, ALL)
        else:
            await self._options(scope, receive, send)

    async def _options(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Ask for TRACE, which no route has: the 405 lists all methods."""
        is_found = False

        async def send_options(message: Message) -> None:
            nonlocal is_found
            if message["type"] == "http.response.start" and message["status"] == 405:
                is_found = True
                _complete_allow(message)
                await _no_content(send, MutableScopeHeaders.from_message(message)["Allow"])
            elif not is_found:
                await send(message)

        await self.app({**scope, "method": "TRACE"}, receive, send_options)


def _complete_allow(message: Message) -> None:
    if message["type"] == "http.response.start" and message["status"] == 405:
        headers = MutableScopeHeaders.from_message(message)
        methods = {each.strip() for each in headers.get("Allow", "").split(",")} | {"OPTIONS"}
        if "GET" in methods:
            methods.add("HEAD")
        headers["Allow"] = ", ".join(sorted(methods - {""}))


async def _no_content(send: Send, allow: str) -> None:
    headers: list[tuple[bytes, bytes]] = [(b"allow", allow.encode("ascii"))]
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": 204,
        "headers": headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
