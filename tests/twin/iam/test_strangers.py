"""What others on this machine try at the twin's ports and files: a page of a browser, another user.

Each port of the twin that a page can speak to is tried from an origin of somebody else, by a name
that leads here ("rebinding"), and by a user with no right to anything.
"""

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.service.console.conftest import BROWSERS, QUIET
from tests.twin.conftest import Ecs

EVIL = "evil.example"
# What a page can send without being asked first ("simple"), and with.
ATTEMPTS = """async ({urls, sockets}) => {
    const got = [];
    const tries = [
        {method: 'GET'}, {method: 'HEAD'},
        {method: 'GET', mode: 'no-cors', credentials: 'include'},
        {method: 'POST', mode: 'no-cors', body: 'Action=RunTask'},
        {method: 'POST', mode: 'no-cors', body: '{}', headers: {'Content-Type': 'text/plain'}},
        {method: 'POST', body: new URLSearchParams({Action: 'GetCallerIdentity'})},
        {method: 'POST', body: '{}', headers: {
            'Content-Type': 'application/x-amz-json-1.1',
            'X-Amz-Target': 'AmazonEC2ContainerServiceV20141113.RunTask',
            'Authorization': 'AWS4-HMAC-SHA256 Credential=twin/20260101/us-east-1/ecs/aws4_request'
                + ', SignedHeaders=host, Signature=0'}},
        {method: 'PUT', body: '{"ProtectionEnabled": true}'}, {method: 'DELETE'},
        {method: 'OPTIONS'},
    ];
    for (const url of urls) for (const each of tries) {
        try {
            const answer = await fetch(url, each);
            got.push([url, each.method, answer.type, answer.status]);
        } catch (error) { got.push([url, each.method, 'blocked', 0]); }
    }
    for (const url of sockets) got.push([url, 'WS', await new Promise(done => {
        const socket = new WebSocket(url);
        socket.onopen = () => done('open'); socket.onerror = () => done('refused');
    }), 0]);
    return got;
}"""
FORM = """url => new Promise(done => {
    const frame = document.createElement('iframe'); frame.name = 'f'; frame.onload = () => done();
    document.body.append(frame);
    const form = document.createElement('form');
    form.method = 'POST'; form.action = url; form.target = 'f'; form.enctype = 'text/plain';
    document.body.append(form); form.submit(); setTimeout(done, 3000);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("!! NO CHROMIUM ON PATH: no page was opened. `make browser` installs one.")
    leads_here = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, leads_here])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def others_port() -> Iterator[int]:
    """A server of somebody else on this machine, with an empty page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><body></body>")

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def paths(ecs: Ecs) -> list[str]:
    """An address of each port and of what is dear there."""
    agent = ecs.twin.agent_url
    root = agent.removesuffix(urlsplit(agent).path)
    return [
        f"{ecs.twin.endpoint}/", f"{ecs.twin.endpoint}/moto-api/reset",
        f"{ecs.twin.endpoint}/moto-api/data.json", f"{root}/v4/x",
        f"{agent}/v4/x/task", f"{agent}/api/x/task-protection/v1/state",
        f"{agent}/v1/data-channel/x",
    ]  # fmt: skip


@pytest.fixture
def state(ecs: Ecs) -> Iterator[None]:
    """Fails where what was tried has changed anything."""

    def now() -> list[Any]:
        tasks = ecs.client.list_tasks(cluster="test")["taskArns"]
        return [tasks, ecs.logs.describe_log_groups()["logGroups"]]

    before = now()
    yield
    assert now() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", EVIL])
def test_a_page_of_another_origin_gets_nothing(
    ecs: Ecs, browser: Browser, others_port: int, state: None, host: str
) -> None:
    page = browser.new_page()
    page.goto(f"http://{host}:{others_port}/")
    urls = paths(ecs)
    statuses: list[int] = []  # of all answers, those that the page itself may not see among them
    page.on("response", lambda answer: statuses.append(answer.status))

    got = page.evaluate(ATTEMPTS, {"urls": urls, "sockets": [ws(each) for each in urls]})
    for url in urls:
        page.evaluate(FORM, url)
    page.close()

    readable = [each for each in got if each[2] not in {"blocked", "opaque", "refused"}]
    assert readable == []
    assert len(got) == 11 * len(urls)
    assert len(statuses) >= 3 * len(urls)
    assert min(statuses) >= 400


def test_a_name_that_leads_here_gets_nothing(ecs: Ecs, browser: Browser, state: None) -> None:
    page = browser.new_page()
    for url in [*paths(ecs), ecs.twin.url]:
        own = urlsplit(url)._replace(netloc=f"{EVIL}:{urlsplit(url).port}").geturl()
        answer = page.goto(own)
        assert answer is not None
        assert answer.status in {403, 404, 421}
        got = page.evaluate(ATTEMPTS, {"urls": [own], "sockets": [ws(own)]})
        assert {each[3] for each in got} <= {0, 400, 403, 404, 405, 421}, got
        assert "open" not in [each[2] for each in got]
    page.close()


def ws(url: str) -> str:
    return url.replace("http://", "ws://")


def test_a_link_to_an_object_may_be_followed_from_a_page_here(
    ecs: Ecs, browser: Browser, others_port: int
) -> None:
    s3 = ecs.boto("s3")
    s3.create_bucket(Bucket="linked")
    s3.put_object(Bucket="linked", Key="it", Body=b"the report", ContentType="text/plain")
    link = s3.generate_presigned_url("get_object", {"Bucket": "linked", "Key": "it"})
    link = link.replace("linked.localhost", "localhost")
    page = browser.new_page()
    page.goto(f"http://localhost:{others_port}/")
    page.evaluate("url => { document.body.innerHTML = '<a>x</a>'; "
                  "document.querySelector('a').href = url }", link)  # fmt: skip
    page.click("a")
    page.wait_for_load_state()

    assert "the report" in page.content()
    page.close()


@pytest.mark.parametrize("path", ["/v4/{}/task", "/v4/{}", "/api/{}/task-protection/v1/state"])
def test_the_agent_answers_who_knows_the_secret_in_its_path(ecs: Ecs, path: str) -> None:
    arn = ecs.run(ecs.define({"command": ["wait"]}))
    ecs.await_line(arn, "pid ")
    id = ecs.task(arn)["containers"][0]["runtimeId"]
    root = ecs.twin.agent_url.removesuffix(urlsplit(ecs.twin.agent_url).path)

    assert httpx.get(ecs.twin.agent_url + path.format(id)).status_code == 200
    for secret in ("", "/", "/x", "/secre", "/secret2", "/SECRET"):
        assert httpx.get(root + secret + path.format(id)).status_code == 404
    for host in (EVIL, f"{EVIL}:{urlsplit(root).port}", "localhost:1"):
        refused = httpx.get(ecs.twin.agent_url + path.format(id), headers={"Host": host})
        assert refused.status_code == 403
    ecs.client.stop_task(cluster="test", task=arn)
