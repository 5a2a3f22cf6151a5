"""The door of the console: signing in, signing out, and who may see a page."""

import hashlib
import hmac
from typing import Annotated, Any
from urllib.parse import quote

import asyncpg
import msgspec
import structlog
from litestar import Request, Response, Router, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.params import Body, FromPath, QueryParameter

from service.console import audit, people, sessions
from service.console.rendering import html, render
from service.console.sessions import LINK_SECONDS, SESSION_SECONDS, Visitor
from service.contract import CONSOLE_PATH, WRONG_CREDENTIALS_EVENT
from service.problem import documented
from service.settings import Settings

LINKS_PATH = "/api/v1/console/links"
Connection = ASGIConnection[Any, Any, Any, Any]

log = structlog.stdlib.get_logger("console")


class NotSignedInError(Exception):
    """The page is for people who are signed in."""


class LinkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom the link signs in, and whether they may act or only look."""

    who: Annotated[str, msgspec.Meta(min_length=1, max_length=sessions.WHO_MAX_CHARACTERS)]
    may_act: bool = True


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Where the link leads on this host. It works once, for `seconds`."""

    path: str
    seconds: int


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody types on the sign-in page."""

    username: str = ""
    password: str = ""
    to: str = ""


async def visitor_of(connection: Connection) -> Visitor | None:
    """Who sends this request; None if nobody is signed in.

    Where the API is open, on a developer's machine, so is the console.
    """
    settings: Settings = connection.app.state.settings
    if settings.is_console_open:
        return Visitor("somebody on this machine", may_act=True, is_signed_in=False)
    cookie = connection.cookies.get(_cookie_name(connection))
    return await sessions.find(connection.app.state.pool, cookie) if cookie else None


async def signed_in(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: raises `NotSignedInError` for who is not. The visitor is the request's `user`."""
    if (visitor := await visitor_of(connection)) is None:
        raise NotSignedInError
    connection.scope["user"] = visitor


def may_act(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard, behind `signed_in`: refuses who may only look."""
    if not connection.user.may_act:
        raise PermissionDeniedException("You may look, but change nothing here.")


@post(
    LINKS_PATH,
    status_code=201,
    tags=["Console"],
    summary="Make a link that signs in to the console",
    operation_id="CreateConsoleLink",
    responses=documented(403, 422),
)
async def create_link(
    data: Annotated[LinkRequest, Body()], pool: NamedDependency[asyncpg.Pool]
) -> Link:
    """Whoever has the API key may do everything; `who` is for the audit log."""
    token = await sessions.make_link(pool, Visitor(data.who, data.may_act))
    return Link(path=f"{CONSOLE_PATH}/open/{token}", seconds=LINK_SECONDS)


@get("/open/{token:str}", include_in_schema=False, sync_to_thread=False)
def show_link(token: FromPath[str]) -> Response[str]:
    """A page whose button signs in; the console's script presses it.

    The GET itself changes nothing: programs that preview links follow them before the person does.
    """
    return html(render("open.html", token=token))


@post("/open/{token:str}", status_code=303)
async def follow_link(
    token: FromPath[str], request: Request[Any, Any, Any], pool: NamedDependency[asyncpg.Pool]
) -> Response[str]:
    """Signs in once, and leads to the first page."""
    if (cookie := await sessions.follow_link(pool, token)) is None:
        return html(render("sign_in.html", problem="link", to="", name=""), 403)
    if (visitor := await sessions.find(pool, cookie)) is not None:
        await audit.note(pool, visitor.who, "sign in by a link")
    return _to(f"{CONSOLE_PATH}/", _cookie(request, cookie, SESSION_SECONDS))


@get("/sign-in", include_in_schema=False, sync_to_thread=False)
def show_sign_in(to: Annotated[str, QueryParameter()] = "") -> Response[str]:
    """The page that asks for a name and a password."""
    return html(render("sign_in.html", problem="", to=to, name=""))


@post("/sign-in", include_in_schema=False, status_code=200)
async def sign_in(
    data: Annotated[Credentials, Body(media_type=RequestEncodingType.URL_ENCODED)],
    request: Request[Any, Any, Any],
    pool: NamedDependency[asyncpg.Pool],
    settings: NamedDependency[Settings],
) -> Response[str]:
    """Signs in with a name and a password of one's own, or those of the job pages."""
    password = settings.ui_password.get_secret_value() if settings.ui_password else None
    visitor: Visitor | None
    person: Visitor | None = None
    if password is not None and (
        _is_same(data.username, settings.ui_username or "") & _is_same(data.password, password)
    ):
        visitor = Visitor(data.username, may_act=True)
    else:
        try:
            visitor = person = await people.visitor_for(pool, data.username, data.password)
        except people.TooManyError:
            page = render("sign_in.html", problem="busy", to=data.to, name=data.username)
            return html(page, 503, Retry_After="5")
    if visitor is None:
        log.warning(WRONG_CREDENTIALS_EVENT, scheme="console")
        return html(render("sign_in.html", problem="password", to=data.to, name=data.username), 403)
    cookie = await sessions.begin(pool, visitor)
    if person and not await people.is_known(pool, person.who):  # removed meanwhile
        await sessions.end(pool, cookie)
    await audit.note(pool, visitor.who, "sign in")
    return _to(_own_page(data.to), _cookie(request, cookie, SESSION_SECONDS))


@post("/sign-out", include_in_schema=False, status_code=303)
async def sign_out(
    request: Request[Any, Any, Any], pool: NamedDependency[asyncpg.Pool]
) -> Response[str]:
    """Ends the session, here and wherever else its cookie is."""
    if cookie := request.cookies.get(_cookie_name(request)):
        await sessions.end(pool, cookie)
    return _to(f"{CONSOLE_PATH}/sign-in", _cookie(request, "", 0))


def ask_to_sign_in(request: Request[Any, Any, Any], _: NotSignedInError) -> Response[str]:
    """The sign-in page for who opens a page, which leads back there; 401 for all else."""
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return html(render("sign_in.html", problem="session", to="", name=""), 401)
    query = request.scope["query_string"].decode("ascii", "replace")
    place = request.scope["path"] + (f"?{query}" if query else "")
    return _to(f"{CONSOLE_PATH}/sign-in?to={quote(place, safe='')}")


def _to(place: str, cookie: str = "") -> Response[str]:
    headers = {"Set_Cookie": cookie} if cookie else {}
    return html("", 303, Location=place, **headers)


def _own_page(to: str) -> str:
    """`to` where it is a page of the console, else the first one: nobody is sent elsewhere."""
    is_own = to.startswith(f"{CONSOLE_PATH}/") and "\\" not in to and to.isprintable()
    return to if is_own and to.isascii() else f"{CONSOLE_PATH}/"


def _cookie(connection: Connection, value: str, seconds: int) -> str:
    secure = "; Secure" if _is_https(connection) else ""
    return (
        f"{_cookie_name(connection)}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict"
        f"{secure}"
    )


def _cookie_name(connection: Connection) -> str:
    # No other host of the domain, and no page without TLS, can set a cookie with this beginning.
    return "__Host-console" if _is_https(connection) else "console"


def _is_https(connection: Connection) -> bool:
    return (
        connection.scope["scheme"] == "https"
        or connection.headers.get("x-forwarded-proto") == "https"
    )


def _is_same(given: str, wanted: str) -> bool:
    """Compare in a time that depends neither on the values nor on their lengths."""
    return hmac.compare_digest(
        hashlib.sha256(given.encode()).digest(), hashlib.sha256(wanted.encode()).digest()
    )


router = Router(
    CONSOLE_PATH,
    route_handlers=[show_link, follow_link, show_sign_in, sign_in, sign_out],
    include_in_schema=False,
)
