"""A client's mistake gets problem+json with the field's name, never a 500."""

import json
import random
import socket
import time
from typing import Any

import httpx
import pytest

from service.api.server.protocol import HEAD_MAX_BYTES
from service.contract import BODY_MAX_BYTES, PAYLOAD_MAX_BYTES
from tests.service.api.api_process import Api

pytest_plugins = ["tests.service.api.conftest_api"]

JSON = {"Content-Type": "application/json"}
DEEP = '{"task": "hooked", "payload": {"x": ' + "[" * 5000 + "]" * 5000 + "}}"


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/notes", {}, 422, "message"),
        ("/notes", {"message": 5}, 422, "message"),
        ("/notes", {"message": ""}, 422, "message"),
        ("/notes", {"message": "a", "mesage": "b"}, 422, "mesage"),
        ("/notes", {"message": "a\x00b"}, 422, "message"),
        ("/notes", ["message"], 422, "body"),
        ("/notes", {"message": "a", "delay_seconds": -1}, 422, "delay_seconds"),
        ("/notes", {"message": "a", "delay_seconds": "5"}, 422, "delay_seconds"),
        ("/notes", {"message": "a", "delay_seconds": 1e300}, 422, "delay_seconds"),
        ("/notes", {"message": "a", "author": "b\nc"}, 422, "author"),
        ("/notes", {"message": "a", "author": "b\n"}, 422, "author"),
        ("/notes", {"message": "a", "author": "b" * 101}, 422, "author"),
        ("/notes", {"message": "a", "user_id": 1.5}, 422, "user_id"),
        ("/api/v1/jobs", {"payload": {}}, 422, "task"),
        ("/api/v1/jobs", {"task": "no such task"}, 404, "task"),
        ("/api/v1/jobs", {"task": "keep_note"}, 422, "payload.message"),
        ("/api/v1/jobs", {"task": "keep_note", "payload": []}, 422, "payload"),
        (
            "/api/v1/jobs",
            {"task": "keep_note", "payload": {"message": "a", "user_id": []}},
            422,
            "payload.user_id",
        ),
        (
            "/api/v1/jobs",
            {"task": "keep_note", "payload": {"message": "a", "usr_id": 1}},
            422,
            "payload.usr_id",
        ),
        (
            "/api/v1/jobs",
            {"task": "keep_note", "payload": {"message": "x" * PAYLOAD_MAX_BYTES}},
            413,
            "payload",
        ),
        ("/api/v1/jobs", {"task": "hooked", "payload": {"fail": "\x00"}}, 422, "payload.fail"),
        ("/api/v1/jobs", {"task": "hooked", "key": "a\x00"}, 422, "key"),
        ("/api/v1/jobs", {"task": "hooked", "key": ""}, 422, "key"),
        ("/api/v1/jobs", {"task": "hooked", "key": "k" * 201}, 422, "key"),
        ("/api/v1/jobs", {"task": "hooked", "delay": -1}, 422, "delay"),
        ("/api/v1/jobs", {"task": "hooked", "timeout": 10**30}, 422, "timeout"),
        ("/api/v1/jobs", {"task": "hooked", "priority": 32768}, 422, "priority"),
        ("/api/v1/jobs", {"task": "hooked", "retries": -1}, 422, "retries"),
        ("/api/v1/jobs", {"task": "hooked", "run_at": "soon"}, 422, "run_at"),
        ("/api/v1/jobs", {"task": "hooked", "run_at": "2030-01-01T00:00:00"}, 422, "run_at"),
        ("/api/v1/jobs", {"task": "hooked", "run_at": "9999-12-31T23:59:59-23:59"}, 422, "run_at"),
        ("/api/v1/jobs", {"task": "hooked", "run_at": "0001-01-01T00:00:00Z"}, 422, "run_at"),
        ("/api/v1/jobs", {"task": "hooked", "run_at": "0001-01-01T00:00:00+14:00"}, 422, "run_at"),
        ("/api/v1/jobs", {"task": "hooked", "run_at": "1970-01-01T00:00:00Z"}, 422, "run_at"),
        ("/api/v1/jobs", {"task": "hooked", "run_at": "2026-01-01T00:00:00Z"}, 422, "run_at"),
        ("/api/v1/jobs", {"task": "hooked", "run_at": "infinity"}, 422, "run_at"),
        (
            "/api/v1/jobs",
            {"task": "hooked", "delay": 1, "run_at": "2027-01-01T00:00:00Z"},
            422,
            "run_at",
        ),
        ("/api/v1/jobs", {"task": "hooked", "status": "complete"}, 422, "status"),
    ],
)
def test_a_wrong_body_is_refused_with_the_name_of_its_field(
    http: httpx.Client, path: str, body: Any, status: int, field: str
) -> None:
    answer = http.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/notes", {"message": "a", "author": "b\nc"}),
        ("/api/v1/jobs", {"task": "keep_note", "payload": {"message": "a", "author": "b\nc"}}),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_with_the_right_form_in_words(
    http: httpx.Client, path: str, body: Any
) -> None:
    (error,) = http.post(path, json=body).json()["errors"]
    assert error["message"] == "Expected one line of text"


def test_a_wrong_status_is_refused_with_the_right_ones(http: httpx.Client) -> None:
    (error,) = http.get("/api/v1/jobs?status=done").json()["errors"]
    for status in ("queued", "active", "aborting", "complete", "failed", "aborted"):
        assert repr(status) in error["message"]


def test_what_a_route_takes_and_no_job_can_hold_is_refused(http: httpx.Client) -> None:
    assert http.post("/notes", json={"message": "\x01" * 20_000}).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[[[[",
        b'{"message": NaN}',
        b'{"message": Infinity}',
        b'{"message": "\xff\xfe"}',
        b'{"message": "\\ud800"}',
        b'{"message": "a"} trailing',
        b"\x00",
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b\x08\x00gzip",
        b'{"message": ' + b"9" * 5000 + b"}",
        b"[" * 60_000,
        b'{"a":' * 20_000,
        DEEP.encode(),
        b"message=hello",
    ],
)
@pytest.mark.parametrize("path", ["/notes", "/api/v1/jobs"])
def test_what_is_not_json_is_refused(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body, headers=JSON)
    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=" + "9" * 100,
        "limit=1e3",
        "limit=",
        "status=done",
        "status=queued&status=done",
        "cursor=x",
        "cursor=-1",
        "cursor=9223372036854775808",
        "cursor=" + "9" * 3000,
        "cursor=%D9%A3",
        "staus=failed",
        "since=yesterday",
        "until=2026-13-01",
        "until=2026-11-01&since=2026-11-02",
        "payload=user_id",
        "payload=%3D7",
        "payload=a..b%3D7",
        "error=x&status=complete",
        "error=",
        "worker=",
        "key=a&key=b",
    ],
)
def test_a_wrong_query_is_refused_with_the_name_of_its_parameter(
    http: httpx.Client, query: str
) -> None:
    answer = http.get(f"/api/v1/jobs?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    "target",
    ["/api/v1/jobs?task=%00", "/api/v1/jobs/a%00b", "/%00", "/saq/static/%00", "/?%00=1"],
)
def test_a_nul_in_the_path_or_query_is_refused(http: httpx.Client, target: str) -> None:
    assert http.get(target).status_code == 400


@pytest.mark.parametrize("path", ["/api/v1/jobs/" + "k" * 9000, "/?" + "q" * 9000])
def test_a_path_without_end_is_refused(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 414


def test_a_body_over_the_limit_is_refused(http: httpx.Client) -> None:
    fits = json.dumps({"message": "x"}).encode().ljust(BODY_MAX_BYTES)
    assert http.post("/notes", content=fits, headers=JSON).status_code == 202
    answer = http.post("/notes", content=fits + b" ", headers=JSON)
    assert answer.status_code == 413
    assert str(BODY_MAX_BYTES) in answer.json()["detail"]


def test_a_body_over_the_limit_is_refused_where_its_length_is_not_announced(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as peer:
        peer.sendall(
            b"POST /notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(BODY_MAX_BYTES // 1000 + 2):
            peer.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        assert b" 413 " in peer.recv(1000)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_a_body_that_is_not_sent_as_plain_json_is_refused(
    http: httpx.Client, headers: dict[str, str]
) -> None:
    answer = http.post("/notes", content=b'{"message": "a"}', headers=headers)
    assert answer.status_code == 415
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_json_body_may_name_its_charset(http: httpx.Client) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = http.post("/notes", content=b'{"message": "a"}', headers=headers)
    assert answer.status_code == 202


def test_another_method_is_405_and_says_which_are_right(http: httpx.Client) -> None:
    answer = http.put("/api/v1/jobs")
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_head_answers_like_get_without_a_body(http: httpx.Client) -> None:
    answer = http.head("/health/live")
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error_of_ours(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port)) as peer:
        peer.sendall(
            b"POST /notes HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: the-leaver\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        time.sleep(0.3)
    log = api.log_with("the-leaver")
    lines = [json.loads(line) for line in log.splitlines() if "the-leaver" in line]
    assert {line["level"] for line in lines} == {"info"}


def test_a_head_without_end_is_cut_off(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        # More than is read of it (10 MiB) and the buffers on the way hold.
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            peer.sendall(b"x" * HEAD_MAX_BYTES * 1000)


def test_a_request_after_a_large_one_on_the_same_connection_is_answered(
    http: httpx.Client,
) -> None:
    large = json.dumps({"message": "x"}).encode().ljust(BODY_MAX_BYTES)
    for _ in range(3):
        assert http.post("/notes", content=large, headers=JSON).status_code == 202
        assert http.get("/health/live").status_code == 200


SCRAPS: list[Any] = [
    None, True, 0, -1, 2**63, -(2**63) - 1, 10**40, 1.5, -0.0, 1e308, "", "x", "null", "\x00",
    "\ud800", "😀", "a" * 300, "2030-01-01T00:00:00Z", "../../etc/passwd", "%00", "' OR 1=1 --",
    [], {}, [[]], {"": ""}, {"key": {}}, [None] * 50, {"__proto__": 1}, {"\x00": 1},
]  # fmt: skip
NAMES = [
    "task", "payload", "key", "delay", "run_at", "timeout", "retries", "retry_delay", "ttl",
    "priority", "message", "user_id", "author", "delay_seconds", "queue", "status", "scheduled",
    "", "\x00",
]  # fmt: skip
ENQUEUE: dict[str, dict[str, Any]] = {
    "/notes": {"message": "a", "user_id": 1, "author": "b", "delay_seconds": 60},
    "/api/v1/jobs": {"task": "hooked", "payload": {"fail": ""}, "key": "fuzz", "delay": 60},
}
OTHERS = [
    "/api/v1/jobs/x", "/api/v1/jobs/x/cancel", "/api/v1/jobs/x/retry", "/api/v1/queues/x",
    "/saq/api/queues/default/jobs/x/retry", "/saq/api/queues/x/jobs/x/abort", "/saq/static/x",
    "/schema/x", "/health/ready", "//", "/%2e%2e/", "/api/v1/jobs/%", "/\u00e9", "/x" * 500,
]  # fmt: skip
QUERIES = ["", "", "", "?limit=2", "?cursor=%FF", "?&&=&", "?a=%"]
METHODS = ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def test_no_request_is_answered_with_a_500(api: Api) -> None:
    dice = random.Random(20)
    statuses: dict[int, int] = {}
    with api.client() as http:
        for number in range(600):
            path = dice.choice(list(ENQUEUE) if dice.random() < 0.7 else OTHERS)
            body = _body(dice, path)
            answer = http.request(
                "POST" if dice.random() < 0.8 else dice.choice(METHODS),
                path + dice.choice(QUERIES),
                content=body,
                headers={**JSON, "X-Request-Id": f"fuzz-{number}"},
            )
            assert answer.status_code < 500, f"{number}: {answer.request.url} {body[:300]!r}"
            if answer.status_code >= 400:
                assert answer.headers["Content-Type"] == "application/problem+json"
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert statuses[202] > 50, f"the fuzz never hits: {statuses}"
        assert http.get("/api/v1/jobs", params={"limit": 200}).status_code == 200
        assert http.get("/saq/api/queues/default").status_code == 200
    assert "Traceback" not in api.log()


def _body(dice: random.Random, path: str) -> bytes:
    """A right body, most often with one thing wrong."""
    value: Any = dict(ENQUEUE.get(path, {}))
    kind = dice.random()
    if kind < 0.4 and value:
        value[dice.choice(list(value))] = dice.choice(SCRAPS)
    elif kind < 0.6:
        value[dice.choice(NAMES)] = dice.choice(SCRAPS)
    elif kind < 0.7:
        value["payload"] = {dice.choice(NAMES): dice.choice(SCRAPS) for _ in range(3)}
    elif kind < 0.75:
        value = dice.choice(SCRAPS)
    body = json.dumps(value).encode()
    if dice.random() < 0.15:
        place = dice.randrange(len(body) + 1)
        body = body[:place] + dice.randbytes(3) + body[place:]
    return body
