"""A small Application Load Balancer: sends requests to healthy targets of moto's target group."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import web
from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup
from multidict import CIMultiDict
from yarl import URL

from scripts.host.guard import Guard
from scripts.host.loopback import addresses, names_this_machine
from scripts.twin.backends import Backends
from scripts.twin.client.state import Twin
from scripts.twin.elb import target_health
from scripts.twin.elb.health_checks import HealthChecks
from scripts.twin.elb.target_health import Target
from scripts.twin.elb.traffic import Traffic
from scripts.twin.event_loop import Loop, close, logged

CONNECT_SECONDS = 10  # ALB's own
LINE_MAX_BYTES = 16 * 1024  # of a header, as in ALB
# Headers for one connection only, which are not passed on.
# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "te", "trailer", "transfer-encoding", "upgrade", "expect",
}  # fmt: skip
REASONS = {
    400: "Bad Request",
    421: "Misdirected Request",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}
PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


class Balancer:
    """Answers on the twin's URL with the answer of a target, or with 502, 503 or 504 as ALB does.

    Unlike ALB it refuses every host name but this machine's own. Otherwise a page whose name leads
    here by DNS would count as a page of the API.

    A request is sent once; it goes to the next target only where the first refuses the connection.
    Each request has a connection of its own, which the target cannot have closed before.
    """

    def __init__(self, backends: Backends, twin: Twin, guard: Guard | None) -> None:
        self._traffic = Traffic(backends)
        self._backends = backends
        self._port = int(twin.url.rpartition(":")[2])
        self._loop = Loop("balancer")
        self._next = 0
        target_health.apply()

    def start(self) -> None:
        """Raises `OSError` if the port is taken."""
        self._loop.start()
        self._loop.do(self._open())

    def stop(self) -> None:
        self._loop.do(self._close())
        self._loop.stop()

    async def _open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            max_line_size=LINE_MAX_BYTES,
            max_field_size=LINE_MAX_BYTES,
        )
        self._session._retry_connection = False  # noqa: SLF001 - aiohttp has no public option for it
        server = web.Server(
            self._answer,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=60,
            max_line_size=LINE_MAX_BYTES,
            max_field_size=LINE_MAX_BYTES,
        )
        self._runner = web.ServerRunner(server)
        await self._runner.setup()
        for address in addresses(self._port):
            await web.TCPSite(self._runner, address, self._port, reuse_address=True).start()
        self._background = [
            asyncio.create_task(logged(HealthChecks(self._backends, self._session).run())),
            asyncio.create_task(logged(self._traffic.run(self._find))),
        ]

    async def _close(self) -> None:
        for each in self._background:
            each.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await close(self._runner)
        await self._session.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not names_this_machine(request.headers.get("Host")):
            return self._refuse(421)
        if not request.raw_path.startswith(("/", "http://", "https://")):
            return self._refuse(400)
        self._traffic.requests += 1
        balancer, group = self._find()
        if balancer is None or group is None:
            return self._refuse(503)
        targets = _routable(group)
        if not targets:
            return self._refuse(503)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._next += 1
        first = self._next % len(targets)
        for target in targets[first:] + targets[:first]:
            target.open_requests += 1
            try:
                return await self._forward(request, target, _idle_seconds(balancer))
            except aiohttp.ClientConnectorError:
                continue  # nothing was sent
            finally:
                target.open_requests -= 1
        return self._refuse(502)

    async def _forward(
        self, request: web.BaseRequest, target: Target, idle: float
    ) -> web.StreamResponse:
        started = time.monotonic()
        try:
            found = await self._session.request(
                request.method,
                URL(f"http://{target.id}:{target.port}{_path(request)}", encoded=True),
                headers=self._headers_for_target(request),
                data=_body(request) if request.can_read_body else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=idle),
            )
        except aiohttp.ClientConnectorError:
            raise
        except TimeoutError:
            return self._refuse(504)
        except (aiohttp.ClientError, OSError):
            return self._refuse(502)
        async with found:
            self._traffic.answered(found.status, time.monotonic() - started)
            return await _pass_on(request, found)

    def _headers_for_target(self, request: web.BaseRequest) -> CIMultiDict[str]:
        headers = _end_to_end(request.headers)
        caller = request.remote or "127.0.0.1"
        before = request.headers.getall("X-Forwarded-For", [])
        headers["X-Forwarded-For"] = ", ".join([*before, caller])
        headers["X-Forwarded-Proto"] = "http"
        headers["X-Forwarded-Port"] = str(self._port)
        trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        headers.setdefault("X-Amzn-Trace-Id", trace)
        return headers

    def _find(self) -> tuple[FakeLoadBalancer | None, FakeTargetGroup | None]:
        """The first load balancer with a listener that forwards, and its target group."""
        elbv2 = self._backends.elbv2
        for balancer in list(elbv2.load_balancers.values()):
            for listener in list(balancer.listeners.values()):
                for action in listener.default_actions:
                    group = elbv2.target_groups.get(action.data.get("TargetGroupArn", ""))
                    if group is not None:
                        return balancer, group
        return None, None

    def _refuse(self, status: int) -> web.Response:
        self._traffic.refused[status] += 1
        return web.Response(
            status=status,
            text=PAGE.format(f"{status} {REASONS[status]}"),
            content_type="text/html",
            headers={"Server": "awselb/2.0"},
        )


def _routable(group: FakeTargetGroup) -> list[Target]:
    """The healthy targets; where all are unhealthy, the unhealthy ones, since ALB "fails open".

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
    """
    known = target_health.targets_of(group)
    healthy = [target for target in known if target.state == target_health.HEALTHY]
    return healthy or [target for target in known if target.state == target_health.UNHEALTHY]


def _idle_seconds(balancer: FakeLoadBalancer) -> float:
    return float(balancer.attrs.get("idle_timeout.timeout_seconds", 60))


def _path(request: web.BaseRequest) -> str:
    raw = request.raw_path  # as it was sent, not unescaped
    return raw if raw.startswith("/") else request.rel_url.raw_path_qs


async def _body(request: web.BaseRequest) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_any():
        yield chunk


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in HOP_BY_HOP and name.lower() not in named
    )


async def _pass_on(request: web.BaseRequest, found: aiohttp.ClientResponse) -> web.StreamResponse:
    """Pass on the target's answer. If it breaks off, close the caller's connection."""
    response = web.StreamResponse(
        status=found.status, reason=found.reason, headers=_end_to_end(found.headers)
    )
    await response.prepare(request)
    try:
        async for chunk in found.content.iter_any():
            await response.write(chunk)
    except (aiohttp.ClientError, OSError, TimeoutError):
        if request.transport is not None:
            request.transport.close()
        return response
    await response.write_eof()
    return response
