"""What README and docs/extending.md promise to somebody new, in one sitting: from `moor up` to
`moor down`.

The tests build on one another, in this order, on one twin.
"""

import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from service.contract import LOCAL_STAGE, ProcessName
from stacks.config.naming import Output
from tests import extending
from tests.e2e.checkout import NAMES, Checkout
from tests.scripts.conftest import wait_until

# Where it is deployed alone: what cannot be imported here is not even synthesized.
BROKEN = """
import os

if "ECS_CONTAINER_METADATA_URI_V4" in os.environ:
    raise RuntimeError("no flour")
"""
CLUSTER, WORKERS = NAMES.cluster, NAMES.service(ProcessName.WORKER)


@pytest.fixture(scope="module")
def shop(scratch: Path) -> Iterator[Checkout]:
    # Not pytest's own folder: another run may close that to the user that Postgres runs as.
    made = Checkout.clone(Path(tempfile.mkdtemp(dir=scratch)))
    try:
        up = made.moor("up")
        assert "API is healthy" in up.stdout
        yield made
    finally:
        made.moor("down")


@pytest.fixture
def http(shop: Checkout) -> Iterator[httpx.Client]:
    with shop.http() as client:
        yield client


def running(shop: Checkout, process: str = "worker") -> int:
    count: int = shop.service(process)["runningCount"]
    return count


def test_a_job_comes_back_with_its_result(shop: Checkout, http: httpx.Client) -> None:
    assert shop.result(http, shop.enqueue(http))["result"] == {"release": 1}
    assert httpx.post(f"{shop.twin.url}/api/v1/jobs", json={"task": "bake"}).status_code == 401


def test_status_shows_the_stage_on_one_screen(shop: Checkout) -> None:
    shown = shop.moor("status").stdout
    assert "api" in shown
    assert "worker" in shown
    told = json.dumps(shop.answer("status"))
    assert "COMPLETED" in told


def test_exec_returns_output_and_exit_code(shop: Checkout) -> None:
    done = shop.moor(
        "exec", "worker", "--", "python", "-c", "print(6 * 7); raise SystemExit(3)", code=3
    )
    assert done.stdout.split() == ["42"]


def test_a_backlog_of_slow_jobs_calls_for_workers(shop: Checkout, http: httpx.Client) -> None:
    shop.moor("scale", "worker", "--min", "1", "--max", "3")
    keys = [shop.enqueue(http, seconds=6) for _ in range(100)]
    wait_until(lambda: running(shop) == 3, "three workers", 120)
    for key in keys:
        shop.result(http, key, seconds=240)


def test_logs_follow_one_job_from_the_api_to_the_worker(
    shop: Checkout, http: httpx.Client, tmp_path: Path
) -> None:
    key = shop.enqueue(http, seconds=2)
    other = shop.enqueue(http)
    output = tmp_path / "shown"
    following = shop.start(output, "logs", "--follow", "--job", key)
    try:
        shop.result(http, key)
        wait_until(lambda: "job complete" in output.read_text(), "the job's last line")
        time.sleep(4)  # a line that comes twice would have come
    finally:
        following.terminate()
        following.wait(60)
    shown = output.read_text()
    for line in ("enqueued", "job started", "in the oven", "job complete"):
        assert sum(line in each for each in shown.splitlines()) == 1, shown
    assert other not in shown


def test_run_does_one_thing_in_an_ecs_task_of_its_own(shop: Checkout) -> None:
    done = shop.moor("run", "--", "python", "-c", "print('once'); raise SystemExit(4)", code=4)
    assert "once" in done.stdout


def test_a_route_writes_and_reads_the_table_of_its_domain(http: httpx.Client) -> None:
    assert http.put("/carts/ada/tea").status_code == 204
    assert http.get("/carts/ada").raise_for_status().json() == {"item": "tea"}
    assert http.get("/carts/bob").raise_for_status().json() == {}


def test_a_message_in_the_queue_of_a_domain_becomes_a_job(
    shop: Checkout, http: httpx.Client
) -> None:
    url, sqs = shop.output("DomainOrdersQueueUrl"), shop.client("sqs")
    sent = sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"item": "cake"}))
    key = f"order-{sent['MessageId']}"
    wait_until(lambda: http.get(f"/api/v1/jobs/{key}").status_code == 200, "the job of the message")
    assert shop.result(http, key)["result"] == {"shipped": "cake"}
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == "0"
    assert left["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_task_writes_into_the_bucket_of_its_domain_and_nowhere_else(
    shop: Checkout, http: httpx.Client
) -> None:
    key = shop.enqueue_task(http, "keep_paper", name="plan", text="more tea")
    assert shop.result(http, key)["result"] == "papers/plan"
    (bucket,) = (
        each["Name"]
        for each in shop.client("s3").list_buckets()["Buckets"]
        if "domainarchive" in each["Name"]
    )
    kept = shop.client("s3").get_object(Bucket=bucket, Key="papers/plan")
    assert kept["Body"].read() == b"more tea"


def test_they_go_again_when_there_is_little_to_do(shop: Checkout) -> None:
    # fifteen of the twin's minutes of five seconds, and a cool-down: since the end of the backlog
    wait_until(lambda: running(shop) == 1, "one worker", 300)


def test_three_workers_take_jobs_after_scale(shop: Checkout, http: httpx.Client) -> None:
    shop.moor("scale", "worker", "3")
    assert running(shop) == 3
    keys = [shop.enqueue(http, seconds=1) for _ in range(60)]
    jobs = [shop.result(http, key) for key in keys]
    assert len({job["worker_id"] for job in jobs}) == 3


def test_the_plain_aws_call_does_the_same(shop: Checkout) -> None:
    shop.client("ecs").update_service(cluster=CLUSTER, service=WORKERS, desiredCount=2)
    wait_until(lambda: running(shop) == 2, "two workers", 120)
    shop.moor("scale", "worker", "1")
    assert running(shop) == 1


class Callers(threading.Thread):
    """Enqueues all the time from the begin of the next deployment on; what it got for it."""

    def __init__(self, shop: Checkout, http: httpx.Client) -> None:
        super().__init__()
        self._shop, self._http = shop, http
        self._stop_asked = threading.Event()
        self._log = shop.folder / ".moorage/twin/deploy.log"  # new with each deployment
        self._before = self._log.stat().st_mtime
        self.keys: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while self._log.stat().st_mtime == self._before and not self._stop_asked.is_set():
            time.sleep(0.05)
        while not self._stop_asked.is_set():
            try:
                self.keys.append(self._shop.enqueue(self._http, seconds=0.2))
            except (httpx.HTTPError, KeyError) as error:
                self.failures.append(repr(error))
            time.sleep(0.25)

    def end(self) -> None:
        self._stop_asked.set()
        self.join(30)


def test_a_broken_release_goes_back_by_itself(shop: Checkout, http: httpx.Client) -> None:
    good = shop.service("worker")["taskDefinition"]
    whole = shop.tasks.read_text()
    callers = Callers(shop, http)
    callers.start()
    try:
        shop.tasks.write_text(whole + BROKEN)
        failed = shop.moor("up", code=1)
    finally:
        callers.end()
        shop.tasks.write_text(whole)
    assert "no flour" in failed.stdout + failed.stderr
    wait_until(lambda: shop.service("worker")["taskDefinition"] == good, "the release before", 180)
    assert callers.failures == []
    assert len(callers.keys) > 10
    assert shop.result(http, shop.enqueue(http))["result"] == {"release": 1}


@pytest.fixture(scope="module")
def legacy(shop: Checkout) -> None:
    """A database that was there before the stage, and the domain that is to reach it."""
    secrets, ec2 = shop.client("secretsmanager"), shop.client("ec2")
    owner = json.loads(
        secrets.get_secret_value(SecretId=shop.output(Output.DATABASE_SECRET, NAMES.data_stack))[
            "SecretString"
        ]
    )
    login = {
        "host": "localhost", "port": shop.twin.postgres_port, "dbname": "legacy",
        "username": owner["username"], "password": owner["password"],
    }  # fmt: skip
    asyncio.run(make_customers(login))
    secret = secrets.create_secret(Name="legacy", SecretString=json.dumps(login))
    network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="legacy", Description="legacy", VpcId=network)
    extending.write(shop.folder, "legacy")
    file = shop.folder / "stacks/domain/legacy.py"
    text = file.read_text()
    for shown, real in {
        '"prod": (': f'"{LOCAL_STAGE}": (',
        "sg-0123456789abcdef0": group["GroupId"],
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:legacy-AbCdEf": secret["ARN"],
    }.items():
        assert text.count(shown) == 1
        text = text.replace(shown, real)
    file.write_text(text)


async def make_customers(login: dict[str, Any]) -> None:
    names = {"user": login["username"], "password": login["password"]}
    where = {"host": login["host"], "port": login["port"]}
    connection = await asyncpg.connect(**names, **where, database="postgres")
    await connection.execute("CREATE DATABASE legacy")
    await connection.close()
    connection = await asyncpg.connect(**names, **where, database="legacy")
    await connection.execute("CREATE TABLE customers AS SELECT * FROM generate_series(1, 3)")
    await connection.close()


@pytest.mark.usefixtures("legacy")
def test_new_code_rolls_out_after_that_with_no_failed_request_and_no_lost_job(
    shop: Checkout, http: httpx.Client
) -> None:
    callers = Callers(shop, http)
    callers.start()
    try:
        shop.tasks.write_text(shop.tasks.read_text().replace("RELEASE = 1", "RELEASE = 2"))
        shop.moor("up")
    finally:
        callers.end()
    assert callers.failures == []
    assert len(callers.keys) > 10
    releases = [shop.result(http, key)["result"]["release"] for key in callers.keys]
    assert releases[0] == 1
    assert shop.result(http, shop.enqueue(http))["result"] == {"release": 2}


def test_workers_reach_a_database_that_was_there_before(shop: Checkout, http: httpx.Client) -> None:
    assert shop.result(http, shop.enqueue_task(http, "count_customers"))["result"] == 3


def test_rollback_brings_an_earlier_release_and_up_the_code_s_own_back(
    shop: Checkout, http: httpx.Client
) -> None:
    shop.moor("rollback", "1")
    assert shop.result(http, shop.enqueue(http))["result"] == {"release": 1}

    shown = shop.moor(
        "up"
    ).stdout  # the stacks have not changed: to a deploy there is nothing to do

    for process in ("api", "worker"):
        assert f"The {process} was rolled back to revision 1: deploying the code's own" in shown
    assert shop.result(http, shop.enqueue(http))["result"] == {"release": 2}


def test_down_leaves_no_process(shop: Checkout) -> None:
    def of_this_checkout() -> list[Any]:
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            words = " ".join(process.info["cmdline"] or [])
            if str(shop.folder) in words or str(shop.folder) in (process.info["cwd"] or ""):
                found.append(words)
        return found

    assert of_this_checkout() != []
    shop.moor("down")
    wait_until(lambda: of_this_checkout() == [], "no process")
