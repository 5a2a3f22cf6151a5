"""Authentication by key, password and origin, and the headers of every answer."""

import base64
import json
import re
import socket
from collections.abc import Iterator

import httpx
import pytest

from service.contract import BODY_MAX_BYTES
from tests.conftest import Processes
from tests.service.api.api_process import API_KEY, UI_LOGIN, Api, start_api

pytest_plugins = ["tests.service.api.conftest_api"]

API_PATHS = [
    ("GET", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/x"),
    ("POST", "/api/v1/jobs"),
    ("POST", "/api/v1/jobs/x/cancel"),
    ("GET", "/api/v1/tasks"),
    ("GET", "/api/v1/queues/default"),
    ("POST", "/api/v1/queues/default/pause"),
    ("POST", "/notes"),
    ("GET", "/schema"),
    ("GET", "/schema/openapi.json"),
    ("OPTIONS", "/api/v1/jobs"),
    ("GET", "/no-such-path"),
    ("GET", "//api/v1//jobs"),
    ("GET", "/%61pi/v1/jobs"),
    ("GET", "/health/live/../../api/v1/jobs"),
    ("GET", "/health/"),
]
UI_PATHS = [
    ("GET", "/saq"),
    ("GET", "/saq/"),
    ("GET", "//saq"),
    ("GET", "/%73aq/"),
    ("GET", "/saq/static/app.js"),
    ("GET", "/saq/api/queues"),
    ("GET", "/saq/api/queues/default/jobs/x"),
    ("POST", "/saq/api/queues/default/jobs/x/abort"),
    ("POST", "/saq/api/queues/default/jobs/x/retry"),
    ("GET", "/saq/health"),
]
PASSWORD = base64.b64encode(":".join(UI_LOGIN).encode()).decode()


@pytest.fixture
def guarded(guarded_api: Api) -> Iterator[httpx.Client]:
    with guarded_api.client() as client:
        yield client


def _raw(api: Api, method: str, target: str, *headers: str) -> int:
    """The status of a request whose target no client library has normalized."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        *headers,
        "",
        "",
    ]
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as peer:
        peer.sendall("\r\n".join(lines).encode("latin-1"))
        return int(peer.recv(100).split()[1])


@pytest.mark.parametrize(("method", "path"), API_PATHS)
def test_without_the_key_everything_but_health_is_401(
    guarded_api: Api, method: str, path: str
) -> None:
    assert _raw(guarded_api, method, path) == 401
    assert _raw(guarded_api, method, path, f"Authorization: Basic {PASSWORD}") == 401


@pytest.mark.parametrize(("method", "path"), UI_PATHS)
def test_without_the_password_no_job_page_is_shown(
    guarded_api: Api, method: str, path: str
) -> None:
    assert _raw(guarded_api, method, path) == 401
    assert _raw(guarded_api, method, path, f"X-API-Key: {API_KEY}") == 401


def test_health_needs_no_key(guarded: httpx.Client) -> None:
    assert guarded.get("/health/live").status_code == 200
    assert guarded.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {API_KEY}"},
        {"Authorization": f"bearer  {API_KEY}"},
        {"X-API-Key": API_KEY},
        {"Authorization": "Bearer something-else", "X-API-Key": API_KEY},
    ],
)
def test_the_key_opens_the_api(guarded: httpx.Client, headers: dict[str, str]) -> None:
    assert guarded.get("/api/v1/tasks", headers=headers).status_code == 200
    assert guarded.get("/no-such-path", headers=headers).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {API_KEY[:-1]}"},
        {"Authorization": f"Bearer {API_KEY}x"},
        {"Authorization": f"Basic {API_KEY}"},
        {"Authorization": API_KEY},
        {"X-API-Key": ""},
        {"X-API-Key": API_KEY.upper()},
        {"Cookie": f"api_key={API_KEY}"},
    ],
)
def test_a_wrong_key_does_not(guarded: httpx.Client, headers: dict[str, str]) -> None:
    answer = guarded.get("/api/v1/tasks", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "login",
    [
        f"Basic {base64.b64encode(b'operator:wrong').decode()}",
        f"Basic {base64.b64encode(b'operator').decode()}",
        f"Basic {base64.b64encode(UI_LOGIN[1].encode()).decode()}",
        f"Basic {base64.b64encode(f'other:{UI_LOGIN[1]}'.encode()).decode()}",
        "Basic !!!",
        "Basic ",
        f"Bearer {PASSWORD}",
        "Basic \xff\xfe",
    ],
)
def test_a_wrong_password_opens_no_job_page(guarded_api: Api, login: str) -> None:
    assert _raw(guarded_api, "GET", "/saq/", f"Authorization: {login}") == 401


def test_the_password_opens_the_job_pages(guarded: httpx.Client) -> None:
    for path in ("/saq/", "/saq/api/queues", "/saq/static/app.js"):
        assert guarded.get(path, auth=UI_LOGIN).status_code == 200
    asked = guarded.get("/saq/")
    assert asked.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_failed_login_is_logged_without_what_was_tried(guarded_api: Api) -> None:
    with guarded_api.client() as client:
        client.get("/api/v1/tasks", headers={"X-API-Key": "tried-this-canary"})
        tried = ("operator", "tried-that-canary")
        client.get("/saq/", auth=tried)
    encoded = base64.b64encode(":".join(tried).encode()).decode()
    log = guarded_api.log_with("wrong credentials")
    for secret in ("canary", encoded, API_KEY, UI_LOGIN[1], PASSWORD):
        assert secret not in log


def test_outside_local_the_job_pages_are_absent_without_a_password(processes: Processes) -> None:
    api = start_api(processes, STAGE="prod", API_AUTH="off")
    with api.client() as client:
        assert client.get("/api/v1/tasks").status_code == 200
        for method, path in UI_PATHS:
            assert client.request(method, path).status_code == 404


def test_api_auth_off_does_not_open_the_job_pages(processes: Processes) -> None:
    user, password = UI_LOGIN
    api = start_api(processes, STAGE="prod", API_AUTH="off", UI_USERNAME=user, UI_PASSWORD=password)
    with api.client() as client:
        assert client.get("/api/v1/tasks").status_code == 200
        assert client.get("/saq/").status_code == 401
        assert client.get("/saq/", auth=UI_LOGIN).status_code == 200


def test_on_a_laptop_a_key_that_is_set_is_asked_for(processes: Processes) -> None:
    api = start_api(processes, API_KEY=API_KEY)
    with api.client() as client:
        assert client.get("/api/v1/tasks").status_code == 401
        assert client.get("/saq/").status_code == 200
        # the key proves more than a host name does
        headers = {"X-API-Key": API_KEY, "Host": "laptop.example"}
        answer = client.post("/notes", json={"message": "a"}, headers=headers)
        assert answer.status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/notes", "/api/v1/jobs/x/cancel", "/saq/api/queues/default/jobs/x/abort"]
)
def test_another_origin_may_change_nothing(
    http: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    answer = http.post(path, json={"message": "a"}, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_not_even_with_the_key(guarded: httpx.Client) -> None:
    headers = {"X-API-Key": API_KEY, "Origin": "https://evil.example"}
    answer = guarded.post("/notes", json={"message": "a"}, headers=headers)
    assert answer.status_code == 403


def test_the_same_origin_may(api: Api, http: httpx.Client) -> None:
    headers = {"Origin": api.url, "Sec-Fetch-Site": "same-origin"}
    answer = http.post("/notes", json={"message": "a"}, headers=headers)
    assert answer.status_code == 202


def test_no_answer_allows_another_origin_to_read_it(http: httpx.Client) -> None:
    for method in ("GET", "OPTIONS"):
        answer = http.request(
            method,
            "/api/v1/jobs",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        )
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 202),
        ("LOCALHOST", 202),
        ("127.0.0.1", 202),
        ("[::1]:8000", 202),
        ("evil.example:8000", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ],
)
def test_on_a_laptop_a_name_that_points_there_may_change_and_read_nothing(
    http: httpx.Client, host: str, status: int
) -> None:
    headers = {"Host": host}
    answer = http.post("/notes", json={"message": "a"}, headers=headers)
    assert answer.status_code == status
    for path in ("/api/v1/jobs", "/saq/api/queues", "/schema"):
        assert http.get(path, headers=headers).status_code == (200 if status == 202 else 403)
    assert http.get("/health/live", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET {path} HTTP/1.1", "Host: localhost"], 200),
        (["GET {path} HTTP/1.1", "Host: localhost:8000"], 200),
        (["GET {path} HTTP/1.1", "Host: [::1]:8000"], 200),
        (["GET {path} HTTP/1.0"], 200),
        (["GET {path} HTTP/1.1"], 400),
        (["GET {path} HTTP/1.1", "Host:"], 400),
        (["GET {path} HTTP/1.1", "Host: localhost", "Host: localhost"], 400),
        (["GET {path} HTTP/1.1", "Host: localhost", "host: evil.example"], 400),
        (["GET {path} HTTP/1.0", "Host: localhost", "Host: evil.example"], 400),
        (["GET {path} HTTP/1.1", "Host: localhost, evil.example"], 400),
        (["GET {path} HTTP/1.1", "Host: user@localhost"], 400),
        (["GET {path} HTTP/1.1", "Host: localhost/x"], 400),
        (["GET {path} HTTP/1.1", "Host: ["], 400),
        (["GET {path} HTTP/1.1", "Host : localhost"], 400),
        (["GET {path} HTTP/1.1", "Host: localhost", "X-T: a", " b"], 400),
        (["GET http://localhost{path} HTTP/1.1", "Host: localhost"], 200),
        (["GET HTTP://LOCALHOST{path} HTTP/1.1", "Host: localhost"], 200),
        (["GET http://evil.example{path} HTTP/1.1", "Host: localhost"], 400),
        (["GET http://localhost{path} HTTP/1.1", "Host: evil.example"], 400),
        (["GET http://localhost@evil.example{path} HTTP/1.1", "Host: localhost"], 400),
        (["GET ftp://localhost{path} HTTP/1.1", "Host: localhost"], 400),
        (["GET health/live HTTP/1.1", "Host: localhost"], 400),
        (["GET * HTTP/1.1", "Host: localhost"], 401),
        (["CONNECT localhost:80 HTTP/1.1", "Host: localhost:80"], 400),
        (["BREW {path} HTTP/1.1", "Host: localhost"], 400),
        (["get {path} HTTP/1.1", "Host: localhost"], 400),
        (["PROPFIND {path} HTTP/1.1", "Host: localhost"], 405),
        (["TRACE {path} HTTP/1.1", "Host: localhost"], 405),
        (["GET {path} HTTP/2.0", "Host: localhost"], 505),
        (["GET {path} HTTP/0.9", "Host: localhost"], 505),
        (["GET {path} HTTP/1.1", "Host: localhost", "Content-Length: 1, 1"], 400),
        (["GET {path} HTTP/1.1", "Host: localhost", "Content-Length: +1"], 400),
        (
            ["POST {path} HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"],
            400,
        ),
        (
            ["POST {path} HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 5"],
            400,
        ),
        (["POST {path} HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 6"], 400),
        (["POST {path} HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, gzip"], 400),
        (["POST {path} HTTP/1.1", "Host: a", "Transfer-Encoding: xchunked"], 400),
    ],
    ids=lambda given: " | ".join(given) if isinstance(given, list) else "",
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(
    guarded_api: Api, lines: list[str], status: int
) -> None:
    head = "\r\n".join([*lines, "", ""]).format(path="/health/live")
    with socket.create_connection(("127.0.0.1", guarded_api.port), timeout=10) as peer:
        peer.sendall(head.encode())
        assert int(peer.recv(100).split()[1]) == status


def test_options_of_the_server_as_a_whole_is_answered(guarded_api: Api) -> None:
    assert _raw(guarded_api, "OPTIONS", "*", f"X-API-Key: {API_KEY}") == 204
    assert _raw(guarded_api, "OPTIONS", "*") == 401


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/jobs%2fx%2fretry", "/api/v1/jobs%2Fx", "/api%2fv1/jobs", "/api/v1%2Fjobs/x",
        "/api/v1/tasks%2f", "/%2fapi/v1/tasks", "/notes%2Fx", "/saq%2fapi%2fqueues",
        "/api/v1/jobs/x%2fretry", "/notes%2f1%2fentries", "/schema%2fopenapi.json",
    ],
)  # fmt: skip
def test_an_encoded_slash_separates_nothing(guarded_api: Api, target: str) -> None:
    for method in ("GET", "POST"):
        key = f"X-API-Key: {API_KEY}"
        assert _raw(guarded_api, method, target, key, "Content-Length: 0") in {404, 405}
        assert _raw(guarded_api, method, target, "Content-Length: 0") == 401


def test_browsers_have_to_stay_with_https(api: Api) -> None:
    header = "Strict-Transport-Security"
    with api.client() as client:
        for path in ("/health/live", "/nope", "/saq/", "/notes"):
            answer = client.get(path, headers={"X-Forwarded-Proto": "https"})
            assert answer.headers[header] == "max-age=31536000"
            assert header not in client.get(path).headers
            assert header not in client.get(path, headers={"X-Forwarded-Proto": "http"}).headers


def test_a_trailer_is_no_header(guarded_api: Api) -> None:
    with socket.create_connection(("127.0.0.1", guarded_api.port), timeout=10) as peer:
        peer.sendall(
            b"GET /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\nX-API-Key: %s\r\nHost: evil.example\r\n\r\n"
            b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            % API_KEY.encode()
        )
        answers = b""
        while piece := peer.recv(10_000):
            answers += piece
    assert re.findall(rb"HTTP/1.1 ([0-9]+)", answers) == [b"401", b"200"]


def test_every_answer_carries_the_security_headers(api: Api, guarded_api: Api) -> None:
    answers = []
    with api.client() as client:
        answers += [client.get(path) for path in ("/health/live", "/saq", "/saq/", "/nope", "/%00")]
        answers += [client.post("/notes", content=b"{"), client.delete("/schema")]
        headers = {"Content-Type": "application/json"}
        answers.append(client.post("/notes", content=b" " * (BODY_MAX_BYTES + 1), headers=headers))
    with guarded_api.client() as client:
        answers += [client.get("/saq/"), client.get("/schema")]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [("trace-1.a_B", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a;b", False)],
)
def test_a_sane_request_id_is_kept_and_any_other_replaced(
    http: httpx.Client, sent: str, is_kept: bool
) -> None:
    returned = http.get("/nope", headers={"X-Request-Id": sent}).headers["X-Request-Id"]
    assert (returned == sent) is is_kept
    assert returned


def test_each_request_is_one_line_without_its_query_and_payload(api: Api) -> None:
    with api.client() as client:
        client.post(
            "/notes?token=query-canary",
            json={"message": "payload-canary"},
            headers={"X-Request-Id": "one-line"},
        )
    log = api.log_with('"event":"request","request_id":"one-line"')
    lines = [json.loads(line) for line in log.splitlines() if "one-line" in line]
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/notes", 202)
    assert line["ms"] > 0
    assert "canary" not in api.log()


def test_the_schema_describes_every_route_and_loads_nothing(http: httpx.Client) -> None:
    for path in ("/schema", "/schema/openapi.json"):
        schema = http.get(path)
        assert schema.headers["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert "examples" not in schema.json()["components"]["schemas"]["Problem"]  # made up by chance
    paths = schema.json()["paths"]
    assert {
        "/health/live", "/health/ready", "/api/v1/jobs", "/api/v1/jobs/{key}",
        "/api/v1/jobs/{key}/cancel", "/api/v1/jobs/{key}/retry", "/api/v1/queues",
        "/api/v1/queues/{name}", "/api/v1/schedules", "/api/v1/tasks",
    } <= paths.keys()  # fmt: skip
    create = paths["/api/v1/jobs"]["post"]
    assert {"200", "202", "400", "401", "404", "413", "415", "422", "503"} <= create[
        "responses"
    ].keys()
    assert create["requestBody"]["required"]
    for page in ("swagger", "redoc", "elements", "rapidoc"):
        assert http.get(f"/schema/{page}").status_code == 404
