"""Another application behind the same door."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import asgi
from litestar.types import Receive, Scope, Send


def mount(path: str, app: Callable[..., Awaitable[Any]]) -> asgi:
    """A route handler with an ASGI application below `path`: FastAPI, Starlette, Django.

    The application gets whole paths and its own place as `root_path`, as ASGI has it. Its start-up
    and shutdown (`lifespan`) are not run.
    """

    @asgi(path, is_mount=True, copy_scope=True)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        # Litestar ends the path below a mount in a slash, whether the caller has written one.
        inner = scope["path"].rstrip("/")
        if scope["raw_path"].endswith(b"/"):
            inner += "/"
        await app({**scope, "root_path": path, "path": f"{path}{inner}"}, receive, send)

    return mounted
