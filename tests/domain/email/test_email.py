"""The email domain against Amazon SES, as moto imitates it over HTTP."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import httpx
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends

from service.queue import PostgresQueue, Registry
from tests.conftest import Processes
from tests.domain.domain_worker import working
from tests.domain.first_release import migrations_applied_over
from tests.ports import free_port
from tests.service.conftest import Ledger

pytest_plugins = ["tests.service.api.conftest_api"]

REGION = "eu-central-1"
MAIL: dict[str, Any] = {"to": "ada@example.com", "subject": "Grüezi", "body": "It works."}


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """The environment of a process that uses moto's SES, where noreply@example.com may send."""
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
    }
    client = boto3.client(
        "ses", region_name=REGION, endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    client.verify_email_identity(EmailAddress="noreply@example.com")
    yield environment
    server.stop()


async def test_message_goes_through_ses_where_a_sender_is_configured(
    queue: PostgresQueue, ledger: Ledger, processes: Processes, environment: dict[str, str]
) -> None:
    processes.start("worker", EMAIL_FROM="noreply@example.com", **environment)
    job = await queue.enqueue("send_email", **MAIL)
    assert job is not None
    await ledger.until_status(job.key, "complete")
    (message,) = ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages
    assert (message.source, message.subject) == ("noreply@example.com", "Grüezi")
    assert message.destinations == {"ToAddresses": ["ada@example.com"]}
    stored = await queue.job(job.key)
    assert stored is not None
    assert stored.result == {"status": "sent", "message_id": message.id}
    assert await ledger.pool.fetch("SELECT 1 FROM email_outbox") == []


@pytest.mark.parametrize(
    ("sender", "to", "reason"),
    [
        ("stranger@example.com", "ada@example.com", "MessageRejected"),
        ("noreply@example.com", "ada,grace@example.com", "InvalidParameterValue"),
    ],
)
async def test_refusal_by_ses_fails_the_job_at_once_with_its_reason(
    queue: PostgresQueue,
    ledger: Ledger,
    processes: Processes,
    environment: dict[str, str],
    *,
    sender: str,
    to: str,
    reason: str,
) -> None:
    processes.start("worker", EMAIL_FROM=sender, **environment)
    job = await queue.enqueue("send_email", **MAIL | {"to": to})
    assert job is not None
    row = await ledger.until_status(job.key, "failed")
    assert reason in row["error"]
    assert row["attempts"] == 1
    stored = await queue.job(job.key)
    assert stored is not None
    assert stored.retries == 5, "for whoever retries it when the address is verified"


@pytest.mark.parametrize(("status", "code"), [(400, "Throttling"), (503, "ServiceUnavailable")])
async def test_what_ses_may_take_later_is_tried_again(
    queue: PostgresQueue,
    ledger: Ledger,
    processes: Processes,
    environment: dict[str, str],
    *,
    status: int,
    code: str,
) -> None:
    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
        processes.start("worker", EMAIL_FROM="noreply@example.com", **environment)
        job = await queue.enqueue("send_email", retries=2, retry_delay=0, **MAIL)
        assert job is not None
        row = await ledger.until_status(job.key, "failed", seconds=40)
        server.shutdown()
    assert code in row["error"]
    assert row["attempts"] == 2


def test_the_route_enqueues_the_message(http: httpx.Client) -> None:
    mail = {"to": MAIL["to"], "subject": MAIL["subject"], "email_body": MAIL["body"]}
    answer = http.post("/queue/email", json=mail)
    assert answer.status_code == 202, answer.text
    job = http.get(answer.headers["Location"]).json()
    assert (job["task"], job["payload"]) == ("send_email", MAIL)


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        ({"to": "nobody"}, "to", "Expected an e-mail address, such as ada@example.com"),
        ({"subject": "s\nBcc: c"}, "subject", "Expected one line of text"),
        ({"subject": "s\n"}, "subject", "Expected one line of text"),
    ],
)
def test_a_message_that_could_not_be_sent_is_refused_by_route_and_task(
    http: httpx.Client, wrong: dict[str, str], field: str, message: str
) -> None:
    mail = {"to": MAIL["to"], "subject": MAIL["subject"], "email_body": MAIL["body"]} | wrong
    job = {"task": "send_email", "payload": MAIL | wrong}
    for answer, name in (
        (http.post("/queue/email", json=mail), field),
        (http.post("/api/v1/jobs", json=job), f"payload.{field}"),
    ):
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": name, "message": message}]


async def test_a_second_run_leaves_one_message_in_the_outbox(
    database: str, registry: Registry, ledger: Ledger
) -> None:
    async with working(database, registry) as domains:
        job = await domains.run("send_email", **MAIL)
        assert job.result == {"status": "kept"}
        await domains.queue.retry(job, "again")
        await domains.idle()
        again = await domains.ended(job.key)
    assert (again.status, again.result) == ("complete", {"status": "kept"})
    (kept,) = await ledger.pool.fetch("SELECT job_key, recipient, subject, body FROM email_outbox")
    assert tuple(kept) == (job.key, MAIL["to"], MAIL["subject"], MAIL["body"])


async def test_a_database_of_the_first_release_has_the_tables_already(empty_database: str) -> None:
    applied = await migrations_applied_over(empty_database)
    assert not [name for name in applied if name.startswith("domain/email/")]
