"""The API's memory, measured as RSS, whatever its clients send or do not read."""

import concurrent.futures
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from service.api.server.protocol import HEAD_MAX_BYTES, HEADERS_MAX, MAX_CONNECTIONS, WAITING_MAX
from tests.conftest import Processes
from tests.service.api.api_process import API_KEY, Api, start_api

pytest_plugins = ["tests.service.api.conftest_api"]

MEGABYTE = 1_000_000
SENT_BYTES = 24 * MEGABYTE
GROWTH_MAX_BYTES = 40 * MEGABYTE  # beside 80 MB; each of these used to reach several hundred

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /health/live HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
FILL = b"x" * 8000


def connect(api: Api) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), timeout=10)


class Peak:
    """The most memory that the process had inside the block, above what it had before."""

    def __init__(self, api: Api) -> None:
        self._process = psutil.Process(api.process.pid)
        self._ended = threading.Event()
        self.growth = 0

    def __enter__(self) -> "Peak":
        self._before = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self.growth = max(self.growth, self._process.memory_info().rss - self._before)


def repeated(piece: bytes, *, times: int = 400) -> Iterator[bytes]:
    return itertools.repeat(piece * times)


ENDLESS = {
    "trailers": (CHUNKED + b"0\r\n", repeated(b"x-t: %s\r\n" % FILL, times=8)),
    "many small trailers": (CHUNKED + b"0\r\n", repeated(b"a: b\r\n", times=8000)),
    "one trailer": (CHUNKED + b"0\r\nx-t: ", repeated(FILL, times=8)),
    "a trailer's name": (CHUNKED + b"0\r\n", repeated(FILL, times=8)),
    "a chunk's extension": (CHUNKED + b"1;", repeated(FILL, times=8)),
    "extensions of many chunks": (CHUNKED, repeated(b"1;%s\r\nx\r\n" % FILL, times=8)),
    "headers": (LIVE, repeated(b"x-h: %s\r\n" % FILL, times=8)),
    "small headers": (LIVE, repeated(b"a: b\r\n", times=8000)),
    "one header": (LIVE + b"x-h: ", repeated(FILL, times=8)),
    "a header's name": (LIVE, repeated(FILL, times=8)),
    "an address": (b"GET /", repeated(FILL, times=8)),
    "a method": (b"", repeated(b"GET", times=8000)),
    "requests": (b"", repeated(LIVE + b"\r\n", times=2000)),
    "refused requests": (b"", repeated(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", times=2000)),
    "requests with bodies": (
        b"", repeated(POST + b"Content-Length: 8000\r\n\r\n" + FILL, times=8)
    ),
    "old requests kept alive": (
        b"", repeated(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", times=2000)
    ),
    "a body": (POST + b"Content-Length: 99999999999\r\n\r\n", repeated(FILL, times=8)),
    "a chunked body": (CHUNKED, repeated(b"1f40\r\n%s\r\n" % FILL, times=8)),
    "a body to be continued": (
        POST + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n",
        repeated(FILL, times=8),
    ),
    "frames of a web socket": (
        LIVE + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        repeated(b"\x82\x7e\x1f\x40" + FILL, times=8),
    ),
    "new protocols": (
        b"", repeated(LIVE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", times=2000)
    ),
    "a tunnel": (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", repeated(FILL, times=8)),
    "packed bytes": (
        POST + b"Content-Encoding: gzip\r\nContent-Length: 99999999\r\n\r\n",
        repeated(b"\x1f\x8b\x08" + FILL, times=8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ENDLESS)
def test_nothing_without_end_fills_the_memory(guarded_api: Api, what: str) -> None:
    begin, rest = ENDLESS[what]
    sent = 0
    with Peak(guarded_api) as peak, connect(guarded_api) as peer:
        peer.settimeout(2)  # it does not read on, which holds the memory just as well
        with contextlib.suppress(OSError):
            peer.sendall(begin)
            while sent < SENT_BYTES:
                piece = next(rest)
                peer.sendall(piece)
                sent += len(piece)
    assert peak.growth < GROWTH_MAX_BYTES
    with guarded_api.client() as others:
        assert others.get("/health/live").status_code == 200


def _many(api: Api, count: int, *pieces: bytes) -> list[socket.socket]:
    peers = [connect(api) for _ in range(count)]
    for piece in pieces:
        for peer in peers:
            peer.setblocking(False)
            with contextlib.suppress(OSError):
                peer.send(piece)
    return peers


@pytest.mark.parametrize(
    ("connections", "piece"),
    [
        (800, LIVE + b"x-h: " + b"x" * (HEAD_MAX_BYTES - 200)),
        (800, LIVE + b"a: b\r\n" * (HEADERS_MAX - 2)),
        (100, (LIVE + b"\r\n") * WAITING_MAX),
        (800, POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 400_000),
    ],
    ids=["heads", "headers", "waiting requests", "bodies"],
)
def test_many_connections_below_their_limits_share_one(
    guarded_api: Api, connections: int, piece: bytes
) -> None:
    with Peak(guarded_api) as peak, contextlib.ExitStack() as peers:
        for peer in [peers.enter_context(connect(guarded_api)) for _ in range(connections)]:
            peer.setblocking(False)
            with contextlib.suppress(OSError):
                peer.send(piece)
        with guarded_api.client() as others:
            for _ in range(5):
                assert others.get("/health/live").status_code == 200
        time.sleep(0.2)
    assert peak.growth < 2 * GROWTH_MAX_BYTES


def test_idle_connections_make_room_for_the_health_check(guarded_api: Api) -> None:
    with contextlib.ExitStack() as peers:
        for _ in range(MAX_CONNECTIONS + 1):
            peers.enter_context(connect(guarded_api))
        with guarded_api.client() as balancer:
            for _ in range(3):
                assert balancer.get("/health/live").status_code == 200


def test_of_busy_connections_the_health_check_has_its_own(api: Api) -> None:
    """Each of them has a request that waits for its body, which comes a byte now and then."""
    with contextlib.ExitStack() as peers:
        for _ in range(MAX_CONNECTIONS + 1):
            peer = peers.enter_context(connect(api))
            peer.sendall(
                b"POST /notes HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
        with api.client() as others:
            assert others.get("/health/live").status_code == 200
            assert others.get("/api/v1/tasks").status_code == 503


TEXT = b'{"task": "keep_note", "payload": {"message": "%s"}}' % (b"x" * 5 * MEGABYTE)
OBJECTS = b'{"task": "keep_note", "payload": {"message": [%s0]}}' % (b"{}," * 1_600_000)
NUMBERS = b'{"task": "keep_note", "payload": {"message": [%s0]}}' % (b"1.5," * 1_200_000)
KEYED = {"X-API-Key": API_KEY, "Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "requests", "is_chunked", "growth_max"),
    [
        (TEXT, 30, False, 100 * MEGABYTE),  # 150 MB, if nobody waited
        (TEXT, 8, True, 100 * MEGABYTE),
        # As Python objects, one of them takes 120 and 60 MB.
        (OBJECTS, 4, False, 330 * MEGABYTE),
        (NUMBERS, 5, True, 250 * MEGABYTE),
    ],
    ids=["text", "text in chunks", "objects", "numbers in chunks"],
)
def test_large_bodies_wait_for_each_other(
    guarded_api: Api, body: bytes, requests: int, is_chunked: bool, growth_max: int
) -> None:
    def post(_: int) -> httpx.Response:
        pieces = (body[at : at + MEGABYTE] for at in range(0, len(body), MEGABYTE))
        with guarded_api.client(**KEYED) as client:
            return client.post("/api/v1/jobs", content=pieces if is_chunked else body)

    with (
        Peak(guarded_api) as peak,
        concurrent.futures.ThreadPoolExecutor(requests) as threads,
        guarded_api.client(**KEYED) as others,
    ):
        answers = threads.map(post, range(requests))
        for _ in range(10):
            small = others.post("/notes", json={"message": "small"})
            assert small.status_code == 202
        for answer in answers:
            # Its payload is wrong, or too large without a bucket; or it was not its turn.
            assert answer.status_code in {413, 422, 503}
            assert answer.status_code != 503 or int(answer.headers["Retry-After"]) > 0
    assert peak.growth < growth_max


def test_a_connection_that_is_kept_keeps_no_body(guarded_api: Api) -> None:
    with Peak(guarded_api) as peak, contextlib.ExitStack() as clients:
        for _ in range(16):
            client = clients.enter_context(guarded_api.client(**KEYED))
            assert client.post("/api/v1/jobs", content=TEXT).status_code == 413
    assert peak.growth < 60 * MEGABYTE


def test_answers_that_nobody_reads_do_not_fill_the_memory(processes: Processes) -> None:
    api = start_api(processes)
    api.sql(
        "INSERT INTO job_archive (key, queue, task, status, error, scheduled_at)"
        " SELECT n::text, 'default', 'x', 'failed', repeat('x', 16000), now()"
        " FROM generate_series(1, 200) n"
    )
    with Peak(api) as peak, contextlib.ExitStack() as peers:
        for _ in range(80):  # 3 MB each
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peers.enter_context(peer).connect(("127.0.0.1", api.port))
            peer.sendall(b"GET /api/v1/jobs?limit=200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with api.client() as others:
            for _ in range(5):
                assert others.get("/api/v1/queues").status_code == 200
        time.sleep(1)
    assert peak.growth < 150 * MEGABYTE


@pytest.mark.parametrize("header", ["", "Connection: close\r\n", "Expect: 100-continue\r\n"])
@pytest.mark.parametrize(("path", "status"), [("/api/v1/jobs", b"413"), ("/x", b"401")])
def test_who_sends_too_much_can_read_the_answer(
    guarded_api: Api, header: str, path: str, status: bytes
) -> None:
    body = b"x" * 7 * MEGABYTE
    with connect(guarded_api) as peer:
        key = f"X-API-Key: {API_KEY}\r\n" if status == b"413" else ""
        peer.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"{key}{header}Content-Length: {len(body)}\r\n\r\n".encode()
        )
        peer.sendall(body)  # all of it, as most clients do before they read
        answer = b""
        while b"}" not in answer:
            piece = peer.recv(10_000)
            assert piece, "the connection ended before the answer"
            answer += piece
    assert answer.split()[1] == status
    assert b"application/problem+json" in answer
