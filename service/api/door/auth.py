"""Authenticates requests by their path; a path that is not opened here is closed."""

import base64
import hashlib
import hmac
import re
from urllib.parse import unquote

import structlog
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from litestar.utils import normalize_path

from service.contract import (
    CONSOLE_PATH,
    LIVE_PATH,
    READY_PATH,
    UI_PATH,
    WRONG_CREDENTIALS_EVENT,
)
from service.problem import problem, send_response
from service.settings import Settings

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
TARGET_MAX_BYTES = 4096  # path and query; Litestar caches a thousand of each in memory
JOBS_PATH = "/api/v1/jobs/"
CONSOLE_API = "/api/v1/console/"
# Below these, a job's key may hold a slash: the routes decode the rest of the path.
KEY_PATHS = (JOBS_PATH, f"{CONSOLE_PATH}/jobs/")
ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%-]+)(:[0-9]{1,5})?")

log = structlog.stdlib.get_logger("api")


class Refusal(Exception):
    """The request is refused with this status."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Gate:
    """Passes a request on to the routes, or answers 400, 401, 403 or 414.

    `/health/*` is open, and `/console` has a door of its own. `/saq` needs HTTP Basic, everything
    else the API key; in stage local either is open if it has no credentials. `API_AUTH=off` opens
    the API, never the pages nor what signs in to them.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.is_local = settings.is_local
        self.keys = settings.api_keys
        self.is_api_open = settings.api_auth == "off" or (settings.is_local and not self.keys)
        self.is_console_open = settings.is_console_open
        self.ui_user = settings.ui_username
        self.ui_password = settings.ui_password.get_secret_value() if settings.ui_password else None
        host = settings.api_host.lower()
        self.local_hosts = {"localhost", "127.0.0.1", "::1", host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await send({"type": "websocket.close", "code": 1008, "reason": "no websockets here"})
            return
        try:
            _route_as_sent(scope)
            headers = Headers.from_scope(scope)
            _refuse_unclear_host(headers, scope["http_version"])
            is_open = self._authenticate(scope["path"], headers)
            if scope["method"] not in SAFE_METHODS:
                _refuse_other_origins(headers)
            if is_open and self.is_local and scope["path"] not in {LIVE_PATH, READY_PATH}:
                self._refuse_other_hosts(headers)
        except Refusal as refusal:
            answer = problem(scope["path"], refusal.status, refusal.detail, headers=refusal.headers)
            await send_response(answer, scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _authenticate(self, path: str, headers: Headers) -> bool:
        """True where the path needs no credentials, False where they are right, else raises."""
        if path in {LIVE_PATH, READY_PATH}:
            return True
        if path == CONSOLE_PATH or path.startswith(f"{CONSOLE_PATH}/"):
            return self.is_console_open  # else its own door asks who it is
        if path == UI_PATH or path.startswith(f"{UI_PATH}/"):
            if self.ui_user is None or self.ui_password is None:
                return True  # the pages only exist where they may be open
            given = _basic(headers)
            if given and _is_same(given[0], self.ui_user) & _is_same(given[1], self.ui_password):
                return False
            challenge = 'Basic realm="Moorage jobs", charset="UTF-8"'
        else:
            # Who may make a link to the console, or a person, may do there what they like.
            is_for_console = path.startswith(CONSOLE_API)
            if self.is_console_open if is_for_console else self.is_api_open:
                return True
            # All are compared, so that the time does not depend on which one is right.
            if any([_is_same(given, key) for given in _keys(headers) for key in self.keys]):
                return False
            challenge = 'Bearer realm="Moorage"'
        if headers.get("authorization") or headers.get("x-api-key"):
            log.warning(WRONG_CREDENTIALS_EVENT, scheme=challenge.split(" ", maxsplit=1)[0])
        raise Refusal(
            401,
            "This needs valid credentials: the API key as Authorization: Bearer or X-API-Key, "
            f"the pages under {UI_PATH} their user name and password.",
            WWW_Authenticate=challenge,
        )

    def _refuse_other_hosts(self, headers: Headers) -> None:
        # DNS rebinding: a web page can point a name of its own at 127.0.0.1 and so reach an open
        # API on this machine. Its requests are of the same origin, but their Host is that name.
        # (Litestar's AllowedHosts also checks requests with credentials, and takes the port, which
        # a tunnel changes, as part of the name.)
        host = headers.get("host", "").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if name not in self.local_hosts:
            raise Refusal(
                403,
                "Without credentials only localhost is served. "
                f"Set API_KEY, and for {UI_PATH} its user name and password, to use another name.",
            )


def _route_as_sent(scope: HTTPScope) -> None:
    """Set `scope["path"]` to what the router will match, so that both check the same path."""
    raw, query = scope["raw_path"], scope["query_string"]
    if len(raw) + len(query) > TARGET_MAX_BYTES:
        raise Refusal(414, f"Path and query may have {TARGET_MAX_BYTES} bytes together.")
    if b"%00" in raw or b"%00" in query or b"\0" in query:
        raise Refusal(400, "The character U+0000 is not allowed in a path or query.")
    # A percent-encoded slash is part of a name and must not become a separator.
    path = scope["path"]
    if b"%2f" in raw.lower():
        path = unquote(ENCODED_SLASH.sub("%252F", raw.decode("ascii", "replace")))
    scope["path"] = normalize_path(path)
    for beginning in KEY_PATHS:
        if scope["path"].startswith(beginning):
            parts = [part for part in raw.split(b"/") if part]
            rest = parts[beginning.count("/") - 1 :]
            scope["path"] = beginning + b"/".join(rest).decode("ascii", "replace")


def _refuse_unclear_host(headers: Headers, http_version: str) -> None:
    """RFC 9112, 3.2: of two Hosts, a proxy in front may have used the other one."""
    hosts = headers.getall("host", [])
    if not hosts and http_version == "1.0":
        return
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise Refusal(400, "The request needs one header Host, with a name or an address.")


def _refuse_other_origins(headers: Headers) -> None:
    site = headers.get("sec-fetch-site", "same-origin")
    origin = headers.get("origin")
    host = headers.get("host", "").lower()
    is_ours = origin is None or origin.lower().partition("://")[2] == host
    if site not in {"same-origin", "none"} or not is_ours:
        raise Refusal(403, "Requests that change something are refused from other origins.")


def _keys(headers: Headers) -> list[bytes]:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = [token.strip()] if scheme.lower() == "bearer" else []
    return [key.encode("latin-1") for key in bearer + headers.getall("x-api-key", [])]


def _basic(headers: Headers) -> tuple[bytes, bytes] | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(token, validate=True).partition(b":")
    except ValueError:
        return None
    return (user, password) if colon else None


def _is_same(given: bytes, wanted: str) -> bool:
    """Compare in a time that depends neither on the values nor on their lengths."""
    return hmac.compare_digest(
        hashlib.sha256(given).digest(), hashlib.sha256(wanted.encode()).digest()
    )
