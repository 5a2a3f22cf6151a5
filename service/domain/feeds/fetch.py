"""Fetches a feed from an address that a user gave, within limits, from public addresses only."""

import asyncio
import zlib
from collections.abc import Callable, Set
from dataclasses import dataclass

import httpx

from service.domain.feeds.address import Address, is_port, is_public, resolve, unreachable
from service.domain.feeds.unpack import ENCODINGS, Unpacker

MAX_BYTES = 5_000_000
MAX_REDIRECTS = 5
FETCH_SECONDS = 30.0  # all redirects together
SILENCE_SECONDS = 10.0  # to connect, and between two pieces of an answer
REDIRECTS = {301, 302, 303, 307, 308}
HEADERS = {
    "User-Agent": "Moorage feeds",
    "Accept": "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.5",
    "Accept-Encoding": "gzip",
}


class FeedError(Exception):
    """A feed cannot be fetched or read; the message says why, and is shown with the feed."""

    def __init__(self, message: str, *, is_temporary: bool = False) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of a feed's server; `body` is None where nothing has changed."""

    url: str  # after redirects
    body: bytes | None
    content_type: str
    etag: str | None
    last_modified: str | None


class Fetcher:
    """Fetches feeds.

    It resolves each host once and connects to that address, so that a name that changes in between
    (DNS rebinding) leads nowhere else.
    """

    def __init__(
        self,
        *,
        may_connect: Callable[[Address], bool] = is_public,
        ports: Set[int] | None = None,  # the reachable ones; None: all
        max_bytes: int = MAX_BYTES,
        seconds: float = FETCH_SECONDS,
    ) -> None:
        self._may_connect = may_connect
        self._ports = ports
        self._max_bytes = max_bytes
        self._seconds = seconds
        # Not httpx's client: it would keep cookies, use proxies and follow redirects by itself. No
        # connection is kept, because two names at one address need two connections.
        self._transport = httpx.AsyncHTTPTransport(
            trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def close(self) -> None:
        await self._transport.aclose()

    async def fetch(
        self, url: str, *, etag: str | None = None, last_modified: str | None = None
    ) -> Answer:
        """The feed, or an answer without a body if it has the same `etag` or `last_modified`.

        Raises `FeedError`.
        """
        headers = dict(HEADERS)
        if etag:
            headers["If-None-Match"] = etag
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(httpx.URL(url), headers)
        except httpx.InvalidURL as error:
            raise FeedError(f"no address of a feed: {error}") from None
        except (TimeoutError, httpx.TimeoutException):
            raise FeedError(
                f"no whole answer within {self._seconds:g} s", is_temporary=True
            ) from None
        except httpx.HTTPError as error:
            raise FeedError(
                f"the connection failed: {error or type(error).__name__}", is_temporary=True
            ) from None

    async def _follow(self, url: httpx.URL, headers: dict[str, str]) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._ask(url, headers)
            try:
                if response.status_code not in REDIRECTS or "Location" not in response.headers:
                    return await self._read(url, response)
                url = url.join(response.headers["Location"])
            finally:
                await response.aclose()
        raise FeedError(f"more than {MAX_REDIRECTS} redirects")

    async def _ask(self, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        addresses = await self._addresses(url)
        for address in addresses:
            request = httpx.Request(
                "GET",
                url.copy_with(host=str(address), fragment=None),
                headers={**headers, "Host": url.netloc.decode("ascii")},
                extensions={
                    # the certificate is checked for this name, not for the address
                    "sni_hostname": url.raw_host.decode("ascii"),
                    "timeout": httpx.Timeout(SILENCE_SECONDS).as_dict(),
                },
            )
            try:
                return await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise AssertionError("no host has no address")

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        if url.scheme not in ("http", "https") or not url.raw_host:
            raise FeedError(f"leads to {str(url)[:200]!r}, which is no http:// or https:// address")
        if url.userinfo:
            raise FeedError("has a user name in its address")
        if url.port is not None and not is_port(url.port):
            raise FeedError(f"has the port {str(url.port)[:20]}, which is none")
        port = url.port or (443 if url.scheme == "https" else 80)
        # A firewall would drop the connection, and the feed would only seem slow.
        if reason := unreachable(port, self._ports):
            raise FeedError(f"leads to port {port}: {reason}")
        host = url.raw_host.decode("ascii")
        try:
            found = await resolve(host, port)
        except (OSError, UnicodeError):
            raise FeedError(f"the host {host!r} has no address", is_temporary=True) from None
        # All of them: a name with a private address beside a public one is an attack or a mistake.
        if not all(self._may_connect(address) for address in found):
            raise FeedError(f"the host {host!r} is not on the public internet")
        return found

    async def _read(self, url: httpx.URL, response: httpx.Response) -> Answer:
        status = response.status_code
        if status not in (200, 304):
            raise FeedError(
                f"its server answers {status}", is_temporary=status in (408, 429) or status >= 500
            )
        return Answer(
            url=str(url),
            body=None if status == 304 else await self._body(response),
            content_type=response.headers.get("Content-Type", ""),
            etag=_sane(response.headers.get("ETag")),
            last_modified=_sane(response.headers.get("Last-Modified")),
        )

    async def _body(self, response: httpx.Response) -> bytes:
        """The body, unpacked piece by piece, because a small answer can unpack to any size."""
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "") and encoding not in ENCODINGS:
            raise FeedError(f"its server packs it as {encoding[:50]!r}, which was not requested")
        unpack = Unpacker(encoding) if encoding in ENCODINGS else None
        body = bytearray()
        taken = 0
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for piece in response.stream:
            taken += len(piece)
            try:
                room = self._max_bytes - len(body) + 1
                body += unpack.feed(piece, room) if unpack else piece
            except zlib.error:
                raise FeedError("it cannot be unpacked") from None
            # Both sizes, because a packed answer may be endless and unpack to nothing.
            if max(len(body), taken) > self._max_bytes:
                raise FeedError(f"it is larger than {self._max_bytes / 1e6:g} MB")
            if unpack and unpack.has_ended:  # the server may send more, without end
                break
        if unpack and not unpack.is_whole:
            raise FeedError("it ends in the middle", is_temporary=True)
        return bytes(body)


def _sane(validator: str | None) -> str | None:
    """The validator if it can be stored and sent back unchanged, else None."""
    is_sane = validator and len(validator) <= 1000 and validator.isascii()
    return validator if is_sane and validator and validator.isprintable() else None
