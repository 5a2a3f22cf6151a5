"""The reports domain: a table is written into S3 whole or not at all, and a link downloads it."""

import asyncio
import csv
import io
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer
from saq import Status

from service.aws import Bucket
from service.domain.reports.table import Cell, csv_bytes
from service.domain.reports.upload import upload
from service.queue import Context, PostgresQueue, Registry
from tests.conftest import Processes, until
from tests.domain.domain_worker import Domains, working
from tests.ports import free_port
from tests.service.api.api_process import Api, start_api

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytest_plugins = ["tests.service.api.conftest_api"]

REGION = "us-east-1"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of a moto server."""
    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment in which this process and its children use moto."""
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def s3(aws: dict[str, str]) -> "S3Client":
    return boto3.client("s3", region_name=REGION)


@pytest.fixture
def bucket(s3: "S3Client") -> str:
    """The name of an empty bucket."""
    name = f"reports-{time.monotonic_ns()}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
async def domains(database: str, registry: Registry, bucket: str) -> AsyncIterator[Domains]:
    async with working(database, registry, bucket=bucket) as running:
        yield running


@pytest.fixture
def api_with_bucket(processes: Processes, aws: dict[str, str], bucket: str) -> Api:
    return start_api(processes, BUCKET=bucket, **aws)


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))


async def make_history(db: asyncpg.Connection, count: int, *, days_ago: int, error: str) -> None:
    await db.execute(
        "INSERT INTO job_archive (key, queue, task, status, attempts, error, created_at,"
        " scheduled_at, finished_at) SELECT 'made-' || $2::int || '-' || n, 'default', 'made',"
        " 'failed', 1, $3, now() - make_interval(days => $2::int), now(), now()"
        " FROM generate_series(1, $1) n",
        count,
        days_ago,
        error,
    )


async def test_a_report_is_asked_for_written_and_downloaded_by_its_link(
    api_with_bucket: Api, domains: Domains, db: asyncpg.Connection
) -> None:
    await make_history(db, 3, days_ago=9, error="too old")
    await make_history(db, 1200, days_ago=6, error='=HYPERLINK("http://evil/")')
    with api_with_bucket.client() as http:
        asked = http.post("/api/v1/reports", json={"report": "jobs", "days": 7})
        assert asked.status_code == 202, asked.text
        location = asked.headers["Location"]
        assert location == f"/api/v1/reports/{asked.json()['job_id']}"
        assert asked.json()["url"] is None
        await domains.ended(asked.json()["job_id"])
        report = http.get(location).json()
        assert (report["status"], report["progress"], report["error"]) == ("complete", 100, None)
        download = httpx.get(report["url"])
        assert http.get(f"/api/v1/jobs/{asked.json()['job_id']}").json()["message"]
    assert download.status_code == 200, download.text
    assert download.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "report.csv" in download.headers["Content-Disposition"]
    assert "X-Amz-Expires=900" in report["url"]
    rows = table(download.content)
    made = [row for row in rows if row["task"] == "made"]
    assert len(rows) == report["rows"]
    assert len({row["job_id"] for row in made}) == len(made) == 1200
    assert {row["error"] for row in made} == {'\'=HYPERLINK("http://evil/")'}
    assert [row["status"] for row in rows if row["task"] == "write_report"] == ["active"]
    assert datetime.fromisoformat(made[0]["created_at"]).tzinfo is not None


async def test_a_second_run_writes_the_same_object_again(
    domains: Domains, s3: "S3Client", bucket: str
) -> None:
    job = await domains.run("write_report", report="jobs", days=1, key="once/../more")
    await domains.queue.retry(job, "again")

    async def has_run_again() -> bool:
        again = await domains.queue.job(job.key)
        return again is not None and again.status is Status.COMPLETE

    await until(has_run_again, what="the second run")
    (stored,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert stored["Key"] == job.result["key"] == "results/reports/once%2F..%2Fmore.csv"


async def test_a_job_says_why_s3_did_not_take_its_report(
    database: str, registry: Registry, aws: dict[str, str]
) -> None:
    async with working(database, registry, bucket="there-is-no-such-bucket") as domains:
        job = await domains.run("write_report", report="jobs", days=1, retries=1)
    assert job.status is Status.FAILED
    assert "S3 refuses: NoSuchBucket" in (job.error or "")


async def test_a_large_object_goes_in_parts(s3: "S3Client", bucket: str, aws: Any) -> None:
    pieces = [bytes([number]) * (3 * MIB) for number in range(7)]
    async with upload(Bucket(bucket, REGION), "results/large", "text/plain") as made:
        for piece in pieces:
            await made.write(piece)
    stored = s3.get_object(Bucket=bucket, Key="results/large")
    assert stored["Body"].read() == b"".join(pieces)
    assert stored["ETag"].endswith('-3"')  # S3's mark of an object of three parts
    assert made.bytes == 21 * MIB


@pytest.mark.parametrize("reason", [RuntimeError, asyncio.CancelledError])
async def test_after_an_error_there_is_no_object_and_nothing_is_left_of_it(
    s3: "S3Client", bucket: str, reason: type[BaseException]
) -> None:
    async def write() -> None:
        async with upload(Bucket(bucket, REGION), "results/half", "text/plain") as made:
            await made.write(b"x" * 9 * MIB)
            assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
            raise reason

    with pytest.raises(reason):
        await write()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "\uff1d1", "=1;2,3\"'"]
)
def test_no_text_is_a_formula(cell: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_bytes([["a", cell]]).decode(), newline=""))
    assert row[1].startswith("'")
    assert row[1].replace("'", "") == cell.replace("'", "")


SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"


@pytest.mark.parametrize("separator", list(",;\t|"))
@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize(
    "text",
    ["a;{}cmd", "{}cmd", " {}cmd", "a;  {}cmd", "a\t{}cmd", "a|{}cmd", "a\n{}cmd", "a\r{}cmd",
     "a,{}cmd", '";{}cmd', 'a";"{}cmd;{}x', "'{}cmd", "a;\x01{}cmd", ";;{}cmd"],
)  # fmt: skip
def test_no_part_of_a_text_is_a_formula_whatever_parts_the_cells(
    separator: str, sign: str, text: str
) -> None:
    table = csv_bytes([["key", text.replace("{}", sign), "b", text.replace("{}", sign)]]).decode()
    for row in csv.reader(io.StringIO(table, newline=""), delimiter=separator):
        for cell in row:
            assert not cell.strip(" \t\r\n\x01").startswith(tuple(SIGNS)), row


def test_other_cells_stay_what_they_are() -> None:
    when = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
    cells: list[Cell] = [
        "a,b",
        'say "x"',
        "two\nlines",
        "Grüezi",
        -1,
        2.5,
        None,
        when,
        "a=b",
        "a -1 +2",
    ]
    (row,) = csv.reader(io.StringIO(csv_bytes([cells]).decode(), newline=""))
    assert row == [
        "a,b", 'say "x"', "two\nlines", "Grüezi", "-1", "2.5", "", "2026-11-22T06:30:00+00:00",
        "a=b", "a -1 +2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "report"),
        ({"report": "jobs"}, "days"),
        ({"report": "secrets", "days": 1}, "report"),
        ({"report": "jobs", "days": 0}, "days"),
        ({"report": "jobs", "days": 367}, "days"),
        ({"report": "jobs", "days": "7"}, "days"),
        ({"report": "jobs", "days": 7, "to": "me"}, "to"),
    ],
)
def test_a_wrong_request_is_refused_with_the_name_of_its_field(
    http: httpx.Client, body: object, field: str
) -> None:
    answer = http.post("/api/v1/reports", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_what_is_no_report_is_not_found(api_with_bucket: Api, application_dsn: str) -> None:
    tasks = Registry()

    @tasks.task()
    async def bake(ctx: Context) -> None: ...

    queue = PostgresQueue(application_dsn, tasks)
    await queue.connect()
    try:
        job = await queue.enqueue("bake")
    finally:
        await queue.disconnect()
    assert job is not None
    with api_with_bucket.client() as http:
        assert http.get(f"/api/v1/jobs/{job.key}").json()["task"] == "bake"
        for job_id in (job.key, "unknown"):
            assert http.get(f"/api/v1/reports/{job_id}").status_code == 404


def test_without_a_bucket_the_answer_says_so(http: httpx.Client) -> None:
    answer = http.post("/api/v1/reports", json={"report": "jobs", "days": 1})
    assert (answer.status_code, "set BUCKET" in answer.json()["detail"]) == (503, True)
    jobs = http.get("/api/v1/jobs", params={"limit": 200}).json()["items"]
    assert "write_report" not in {job["task"] for job in jobs}
