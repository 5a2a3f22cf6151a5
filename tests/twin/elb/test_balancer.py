"""The twin's load balancer, with real servers behind it."""

import asyncio
import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from aiohttp import web

from scripts.twin.backends import Backends
from scripts.twin.elb.balancer import Balancer
from tests.ports import free_port
from tests.scripts.conftest import wait_until
from tests.twin.stand import Handler, Server, a_twin, client, cloud, make_door

BIG = 20_000_000


@pytest.fixture
def backends() -> Iterator[Backends]:
    with cloud() as found:
        yield found


class Door:
    """A balancer in service, its target group, and what stands behind it."""

    def __init__(self, backends: Backends, home: Path, **options: int) -> None:
        self.twin = a_twin(home)
        self.balancer = Balancer(backends, self.twin, None)
        self.group = make_door(**options)
        self.balancer.start()
        self.servers: list[Server] = []

    def serve(self, handler: Handler) -> Server:
        """A target that is healthy."""
        server = Server(handler)
        self.servers.append(server)
        self.register(server.port)
        wait_until(lambda: self.state(server.port) == "healthy", "a healthy target")
        return server

    def register(self, port: int) -> None:
        client("elbv2").register_targets(
            TargetGroupArn=self.group, Targets=[{"Id": "127.0.0.1", "Port": port}]
        )

    def deregister(self, port: int) -> None:
        client("elbv2").deregister_targets(
            TargetGroupArn=self.group, Targets=[{"Id": "127.0.0.1", "Port": port}]
        )

    def health(self, port: int) -> dict[str, str]:
        (found,) = client("elbv2").describe_target_health(
            TargetGroupArn=self.group, Targets=[{"Id": "127.0.0.1", "Port": port}]
        )["TargetHealthDescriptions"]
        health: dict[str, str] = found["TargetHealth"]
        return health

    def state(self, port: int) -> str:
        return self.health(port)["State"]

    def get(self, path: str = "/", **options: Any) -> httpx.Response:
        return httpx.get(self.twin.url + path, timeout=30, **options)


@pytest.fixture
def open_door(backends: Backends, tmp_path: Path) -> Iterator[Callable[..., Door]]:
    doors: list[Door] = []

    def make(**options: int) -> Door:
        doors.append(Door(backends, tmp_path, **options))
        return doors[-1]

    yield make
    for door in doors:
        door.balancer.stop()
        for server in door.servers:
            server.stop()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One for tests that change nothing of it, with a target that says hello."""
    with cloud() as backends:
        made = Door(backends, tmp_path_factory.mktemp("door"))
        made.serve(says("hello"))
        yield made
        made.balancer.stop()
        for server in made.servers:
            server.stop()


def says(word: str) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=word)

    return answer


async def echo(request: web.Request) -> web.Response:
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "headers": [list(pair) for pair in request.headers.items()],
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
    )


def test_requests_go_round_the_healthy_targets(open_door: Callable[..., Door]) -> None:
    door = open_door()
    for word in ("one", "two"):
        door.serve(says(word))
    words = [door.get().text for _ in range(6)]
    assert sorted(words) == ["one"] * 3 + ["two"] * 3
    assert all(before != after for before, after in pairwise(words))


def test_request_arrives_as_it_was_sent(open_door: Callable[..., Door]) -> None:
    door = open_door()
    door.serve(echo)
    body = bytes(range(256)) * 4000
    answer = httpx.request(
        "PATCH", door.twin.url + "/a%2Fb/%C3%A9?x=1&x=%20+",
        content=body, headers={"X-Forwarded-For": "10.1.1.1", "Cookie": "a=1"},
    )  # fmt: skip
    found = answer.json()
    headers = {name.lower(): value for name, value in found["headers"]}
    assert (found["method"], found["path"]) == ("PATCH", "/a%2Fb/%C3%A9?x=1&x=%20+")
    assert found["sha256"] == hashlib.sha256(body).hexdigest()
    assert headers["content-length"] == str(len(body))
    assert headers["host"] == door.twin.url.removeprefix("http://")
    assert headers["x-forwarded-for"] == "10.1.1.1, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == door.twin.url.rpartition(":")[2]
    assert headers["cookie"] == "a=1"
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    assert "content-type" not in headers


def test_answer_arrives_as_it_was_given(open_door: Callable[..., Door]) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/none":
            return web.Response(status=204)
        headers = {"Content-Encoding": "gzip", "Location": "/elsewhere"}
        response = web.Response(
            status=418, reason="Short and stout", body=b"\x1f\x8bnot gzip", headers=headers
        )
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    door = open_door()
    door.serve(answer)
    connection = http.client.HTTPConnection(door.twin.url.removeprefix("http://"), timeout=30)
    for method, body in (("GET", b"\x1f\x8bnot gzip"), ("HEAD", b"")):
        connection.request(method, "/")
        found = connection.getresponse()
        assert (found.status, found.reason, found.read()) == (418, "Short and stout", body)
        assert found.getheader("Content-Encoding") == "gzip"
        assert found.getheader("Content-Length") == "10"
        assert len(found.headers.get_all("Set-Cookie")) == 2  # type: ignore[arg-type]
    connection.request("GET", "/none")
    assert connection.getresponse().status == 204, "on the same connection: it is kept alive"
    connection.close()


def test_bodies_are_streamed_both_ways(open_door: Callable[..., Door]) -> None:
    went_on = threading.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return await echo(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: first\n\n")
        while not went_on.is_set():
            await asyncio.sleep(0.01)
        await response.write(b"x" * BIG)
        return response

    door = open_door()
    door.serve(answer)
    with httpx.stream("GET", door.twin.url, timeout=30) as response:
        parts = response.iter_raw()
        assert next(parts) == b"data: first\n\n", "an event arrives before the answer is complete"
        went_on.set()
        assert sum(map(len, parts)) == BIG

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b"y" * (BIG // 100)

    found = httpx.post(door.twin.url, content=chunks(), timeout=30).json()
    assert found["size"] == BIG


def test_caller_that_waits_for_a_word_before_its_body_gets_it(
    open_door: Callable[..., Door],
) -> None:
    door = open_door()
    door.serve(echo)
    host, _, port = door.twin.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as caller:
        caller.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
                       b"Expect: 100-continue\r\nConnection: close\r\n\r\n")  # fmt: skip
        assert caller.recv(100).startswith(b"HTTP/1.1 100")
        caller.sendall(b"abc")
        answer = b"".join(iter(lambda: caller.recv(65536), b""))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["size"] == 3


def test_caller_that_leaves_ends_the_request_at_the_target(open_door: Callable[..., Door]) -> None:
    ended = threading.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"tick\n")
                await asyncio.sleep(0.05)
        finally:
            ended.set()

    door = open_door()
    door.serve(answer)
    with httpx.stream("GET", door.twin.url) as response:
        next(response.iter_raw())
    assert ended.wait(30)


def test_without_a_target_the_answer_is_503(open_door: Callable[..., Door]) -> None:
    answer = open_door().get()
    assert answer.status_code == 503
    assert answer.headers["server"] == "awselb/2.0"
    assert "503 Service Temporarily Unavailable" in answer.text


def test_target_that_breaks_off_is_a_502_and_is_asked_once(open_door: Callable[..., Door]) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    door = open_door()
    for _ in range(2):
        door.serve(answer)
    assert door.get("/once").status_code == 502
    assert asked == ["/once"]


def test_answer_that_breaks_off_is_broken_for_the_caller_too(
    open_door: Callable[..., Door],
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    door = open_door()
    door.serve(answer)
    with pytest.raises(httpx.RemoteProtocolError):
        door.get()


def test_target_that_says_nothing_is_a_504(open_door: Callable[..., Door]) -> None:
    async def answer(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    door = open_door(idle_seconds=1)
    door.serve(answer)
    assert door.get().status_code == 504


def test_target_that_takes_no_connection_is_passed_over(open_door: Callable[..., Door]) -> None:
    door = open_door()
    dead = door.serve(says("dead"))
    door.serve(says("alive"))
    dead.stop()
    door.servers.remove(dead)
    assert {door.get().text for _ in range(4)} == {"alive"}


def test_health_is_what_the_checks_find(open_door: Callable[..., Door]) -> None:
    door = open_door()
    port = free_port()
    door.register(port)
    assert door.state(port) == "initial"
    wait_until(lambda: door.state(port) == "unhealthy", "unhealthy")
    assert door.health(port)["Reason"] == "Target.FailedHealthChecks"
    server = door.serve(says("x"))
    server.is_live = False
    wait_until(lambda: door.state(server.port) == "unhealthy", "unhealthy")
    assert door.health(server.port) == {
        "State": "unhealthy",
        "Reason": "Target.ResponseCodeMismatch",
        "Description": "Health checks failed with these codes: [500]",
    }
    server.is_live = True
    wait_until(lambda: door.state(server.port) == "healthy", "healthy again")
    shown = client("elbv2").describe_target_health(TargetGroupArn=door.group)
    states = {
        int(each["Target"]["Port"]): each["TargetHealth"]["State"]
        for each in shown["TargetHealthDescriptions"]
    }
    assert states == {port: "unhealthy", server.port: "healthy"}


def test_deregistered_target_finishes_what_it_has_and_gets_nothing_new(
    open_door: Callable[..., Door],
) -> None:
    may_finish = threading.Event()
    started = threading.Event()

    async def slow(_request: web.Request) -> web.Response:
        started.set()
        while not may_finish.is_set():
            await asyncio.sleep(0.01)
        return web.Response(text="old")

    door = open_door()
    old = door.serve(slow)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(door.get)
        assert started.wait(30)
        door.serve(says("new"))
        door.deregister(old.port)
        assert door.health(old.port)["Reason"] == "Target.DeregistrationInProgress"
        assert {door.get().text for _ in range(4)} == {"new"}
        assert door.state(old.port) == "draining", "while a request is open"
        may_finish.set()
        assert waiting.result(30).text == "old"
    wait_until(lambda: door.state(old.port) == "unused", "drained")


def test_draining_ends_after_its_delay(open_door: Callable[..., Door]) -> None:
    has_begun = threading.Event()

    async def never(_request: web.Request) -> web.Response:
        has_begun.set()
        await asyncio.sleep(60)
        return web.Response()

    door = open_door(drain_seconds=1)
    server = door.serve(never)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(door.get)
        assert has_begun.wait(30)
        door.deregister(server.port)
        wait_until(lambda: door.state(server.port) == "unused", "drained")
        server.stop()
        door.servers.remove(server)
        assert waiting.result(30).status_code == 502


def test_no_request_is_lost_while_targets_are_replaced(open_door: Callable[..., Door]) -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        return web.Response(text=str(len(await request.read())))

    door = open_door()
    server = door.serve(answer)
    stop = threading.Event()

    def ask() -> list[int]:
        statuses = []
        with httpx.Client(timeout=30) as caller:
            while not stop.is_set():
                statuses.append(caller.post(door.twin.url, content=b"x" * 1000).status_code)
        return statuses

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(ask) for _ in range(4)]
        try:
            for _ in range(4):
                old, server = server, door.serve(answer)
                door.deregister(old.port)
                wait_until(lambda port=old.port: door.state(port) == "unused", "drained")  # type: ignore[misc]
                old.stop()
                door.servers.remove(old)
        finally:
            stop.set()
        statuses = [status for caller in callers for status in caller.result(30)]
    assert len(statuses) > 100
    assert set(statuses) == {200}


@pytest.mark.parametrize(
    ("line", "host", "status"),
    [
        ("OPTIONS *", "localhost", 400), ("GET *", "localhost", 400),
        ("CONNECT localhost:1", "localhost", 400), ("GET x", "localhost", 400),
        ("OPTIONS /", "localhost", 200), ("GET //x/y?a=%2f", "localhost:8000", 200),
        ("GET http://localhost/x?y", "localhost", 200), ("GET /a%zz", "localhost", 200),
        ("GET /?a={b}|c", "[::1]", 200), ("BREW /", "127.0.0.1", 400),
        ("GET /", "evil.example", 421), ("GET /", "localhost.evil.example:80", 421),
        ("POST /", "evil.example:8000", 421), ("GET /", "127.0.0.2", 421), ("GET /", "", 421),
        ("GET http://evil.example/", "localhost", 200),
    ],
)  # fmt: skip
def test_each_form_of_a_request_has_an_answer_and_each_foreign_name_a_refusal(
    door: Door, line: str, host: str, status: int
) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(door.twin.url).port or 0), 30) as caller:
        ask = f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        caller.sendall(ask.encode())
        answer = b"".join(iter(lambda: caller.recv(65536), b""))

    assert int(answer.split()[1]) == status, answer


def test_a_request_with_no_or_two_names_is_refused(door: Door) -> None:
    for names in ("", "Host: localhost\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", urlsplit(door.twin.url).port or 0)) as caller:
            caller.sendall(f"GET / HTTP/1.1\r\n{names}Connection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: caller.recv(65536), b""))
        assert answer.split()[1] in {b"400", b"421"}
