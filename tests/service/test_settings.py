"""What the environment may hold, and the errors when it holds something else."""

import pytest

from service.console.saq_pages import has_pages
from service.contract import EnvVar, ProcessName
from service.database_url import ENCODE
from service.settings import SettingsError, load_settings, settings_of

LOCAL = {"STAGE": "local", "DATABASE_URL": "postgresql://app:hunter2hunter2@db/app"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in LOCAL.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def problems() -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(ProcessName.API)
    return raised.value.problems


def test_contract_names_exactly_the_variables_that_settings_reads() -> None:
    read = {name.upper() for each in ProcessName for name in settings_of(each).model_fields}
    assert read == set(EnvVar)


def test_stage_and_database_are_enough_on_a_laptop(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings(ProcessName.API)
    assert settings.is_local
    assert settings.queue_url == settings.database_dsn == LOCAL["DATABASE_URL"]


def test_queue_may_live_in_another_database(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("QUEUE_DSN", "postgresql://other/queue")
    assert load_settings(ProcessName.API).queue_url == "postgresql://other/queue"


def test_all_problems_are_reported_at_once_by_the_variables_names(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.delenv("DATABASE_URL")
    environment.setenv("WORKER_CONCURRENCY", "many")
    environment.setenv("DRAIN_SECONDS", "119")
    environment.setenv("LOG_LEVEL", "loud")
    environment.setenv("STAGE", "prod")
    found = problems()
    assert [problem.partition(":")[0] for problem in found] == [
        "LOG_LEVEL", "DATABASE_URL", "API_KEY", "WORKER_CONCURRENCY", "DRAIN_SECONDS",
    ]  # fmt: skip
    assert "DATABASE_URL: missing" in found
    assert found[-1] == "DRAIN_SECONDS: must be a number from 0 to 110"


def test_no_value_appears_in_a_message_or_a_representation(
    environment: pytest.MonkeyPatch,
) -> None:
    assert "hunter2" not in repr(load_settings(ProcessName.API))
    environment.setenv("DATABASE_URL", "mysql://app:hunter2hunter2@db/app")
    environment.setenv("API_KEY", "hunter2")
    found = problems()
    assert "DATABASE_URL: must start with postgresql://, without quotes around it" in found
    assert "API_KEY: must have at least 16 characters" in found
    assert "hunter2" not in "\n".join(found)


def test_every_stage_but_local_needs_an_api_key_unless_it_is_turned_off(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("STAGE", "dev")
    assert problems()[0].startswith("API_KEY: missing")
    environment.setenv("API_AUTH", "off")
    assert load_settings(ProcessName.API).api_key is None
    environment.setenv("API_AUTH", "key")
    environment.setenv("API_KEY", "0123456789abcdef")
    assert load_settings(ProcessName.API).api_key is not None


@pytest.mark.parametrize("process", [ProcessName.WORKER, ProcessName.MIGRATE])
def test_only_the_api_needs_the_api_key(
    process: ProcessName, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("STAGE", "prod")
    assert load_settings(process).api_key is None


def test_job_pages_need_both_credentials_or_none(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("UI_USERNAME", "operator")
    assert problems()[0].startswith("UI_PASSWORD: UI_USERNAME and UI_PASSWORD go together")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (
            "amqp://localhost",
            "must start with postgresql://, memory://, redis://, rediss:// or sqs://",
        ),
        ("redis://localhost?concurrency=0", "concurrency must be 1 to 1000"),
        ("redis://localhost?concurrency=many", "concurrency must be 1 to 1000"),
        ("redis://localhost:port", ENCODE),
        ("redis://:a#b@localhost/0", ENCODE),
        ("redis://:a/b@localhost/0", ENCODE),
        ("redis://:a?b@localhost/0", ENCODE),
        ("rediss://:a@b@localhost/0", ENCODE),
        ("redis://:a[b@localhost/0", ENCODE),
        ("redis://:50%@localhost/0", ENCODE),
        ("redis://localhost/jobs", "redis:// ends with the number of a database, like /0"),
        ("postgresql://u:a#b@localhost/0", ENCODE),
        ("memory://?size=3", "memory:// has no option 'size'"),
        ("sqs://jobs?zone=eu", "sqs:// has no option 'zone'"),
        ("sqs://", "names no queue: sqs://<queue's name> or sqs://<host>/<account>/<name>"),
    ],
)
def test_a_queue_that_cannot_be_is_refused(
    environment: pytest.MonkeyPatch, address: str, problem: str
) -> None:
    environment.setenv("QUEUE_DSN", address)
    assert problems() == [f"QUEUE_DSN: {problem}"]


@pytest.mark.parametrize(
    "address",
    ["redis://:secret@h:1/2?concurrency=5", "rediss://h", "sqs://jobs.fifo?region=eu-west-1"],
)
def test_the_queue_may_be_elsewhere(environment: pytest.MonkeyPatch, address: str) -> None:
    environment.setenv("QUEUE_DSN", address)
    assert load_settings(ProcessName.API).queue_url == address


def test_a_queue_in_memory_has_its_worker_in_the_api(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("QUEUE_DSN", "memory://")
    assert problems() == [
        "WORKER_MODE: must be in-process with QUEUE_DSN=memory://, which no process shares"
    ]
    environment.setenv("WORKER_MODE", "in-process")
    assert load_settings(ProcessName.API).queue_url == "memory://"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("API_PORT", "0", "must be a number from 1 to 65535"),
        ("API_PORT", "http", "must be a number from 1 to 65535"),
        ("API_PORT", "", "must be a number from 1 to 65535"),
        ("API_PORT", "80.5", "must be a number from 1 to 65535"),
        ("WORKER_POLL_SECONDS", "NaN", "must be a number from 0.1 to 60"),
        ("WORKER_POLL_SECONDS", "inf", "must be a number from 0.1 to 60"),
        ("QUEUE_POOL_SIZE", "1", "must be a number from 2 to 100"),
        ("API_AUTH", "maybe", "Input should be 'key' or 'off'"),
        ("LOG_FORMAT", "yaml", "Input should be 'auto', 'json' or 'pretty'"),
        ("STAGE", "My Stage", "String should match pattern"),
        ("DATABASE_SECRET_ARN", "arn:aws:iam::1:role/x", "String should match pattern"),
        ("DATABASE_SECRET_ARN", "", "String should match pattern"),
        ("BUCKET", "s3://bucket/", "String should match pattern"),
        ("AWS_REGION", "Frankfurt", "String should match pattern"),
        ("EMAIL_FROM", "nobody", "String should match pattern"),
        ("ECS_AGENT_URI", "169.254.170.2", "String should match pattern"),
    ],
)
def test_each_wrong_value_is_named_with_what_is_allowed(
    environment: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    environment.setenv(variable, value)
    found = problems()[0]
    assert found.startswith(f"{variable}: {says}")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!db-1-x"),
        (
            "DATABASE_SECRET_ARN",
            "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a",
        ),
        ("DATABASE_SECRET_ARN", "shop/dev/database"),
        ("BUCKET", "shop-dev-bucket.x1"),
        ("AWS_REGION", "us-gov-east-1"),
        ("EMAIL_FROM", "Shop <shop@example.com>"),
    ],
)
def test_names_at_aws_are_taken_as_aws_writes_them(
    environment: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    environment.setenv(variable, value)
    assert load_settings(ProcessName.API)


LOOPBACK = ["localhost", "LocalHost", "127.0.0.1", "127.8.9.1", "::1", "0:0:0:0:0:0:0:1"]
OPEN = [
    "0.0.0.0", "::", "[::]", "", " ", "0", "192.168.1.7", "10.0.0.1", "::ffff:0.0.0.0",
    "fe80::1", "my-laptop", "my-laptop.local", "localhost.example", "127.0.0.1.example", "*",
]  # fmt: skip


@pytest.mark.parametrize("mode", ["standalone", "in-process"])
@pytest.mark.parametrize("host", OPEN)
def test_the_api_is_not_opened_to_the_network_without_a_key(
    environment: pytest.MonkeyPatch, host: str, mode: str
) -> None:
    environment.setenv("API_HOST", host)
    environment.setenv("WORKER_MODE", mode)
    (problem,) = problems()
    assert problem.startswith("API_KEY: missing")
    assert "API_HOST" in problem
    assert "API_AUTH=off" in problem
    environment.setenv("API_KEY", "k" * 16)
    load_settings(ProcessName.API)
    environment.delenv("API_KEY")
    environment.setenv("API_AUTH", "off")  # it says that something in front asks for credentials
    load_settings(ProcessName.API)


@pytest.mark.parametrize("host", LOOPBACK)
def test_on_this_machine_alone_the_api_may_be_open(
    environment: pytest.MonkeyPatch, host: str
) -> None:
    environment.setenv("API_HOST", host)
    assert load_settings(ProcessName.API).api_key is None


@pytest.mark.parametrize("host", [*OPEN, *LOOPBACK])
def test_the_job_pages_are_not_opened_to_the_network_without_a_password(
    environment: pytest.MonkeyPatch, host: str
) -> None:
    environment.setenv("API_HOST", host)
    environment.setenv("API_AUTH", "off")
    assert has_pages(load_settings(ProcessName.API)) is (host in LOOPBACK)
    environment.setenv("UI_USERNAME", "operator")
    environment.setenv("UI_PASSWORD", "p" * 16)
    assert has_pages(load_settings(ProcessName.API))


OLD, NEW = "o" * 16, "n" * 40


@pytest.mark.parametrize("given", [OLD, f"{OLD} {NEW}", f" {OLD}\n{NEW}\n", f"{OLD}\t{NEW}"])
def test_api_key_holds_one_key_or_two(environment: pytest.MonkeyPatch, given: str) -> None:
    environment.setenv("API_KEY", given)
    assert load_settings(ProcessName.API).api_keys == given.split()


@pytest.mark.parametrize("given", ["", " ", "short", f"{OLD} short", f"short {NEW}", f"{OLD} " * 3])
def test_any_other_is_refused_without_a_part_of_it(
    environment: pytest.MonkeyPatch, given: str
) -> None:
    environment.setenv("API_KEY", given)
    (problem,) = problems()
    assert problem.startswith("API_KEY: must")
    assert OLD not in problem
    assert "short" not in problem


def test_queues_and_pools_are_read(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WORKER_POOL", "reports")
    environment.setenv("WORKER_QUEUES", "reports=3,mail=1")
    environment.setenv("WORKER_POOLS", "worker:default;worker-reports:reports=3,mail=1")
    settings = load_settings(ProcessName.WORKER)
    assert settings.worker_pools is not None
    assert settings.worker_pools[settings.worker_pool] == settings.worker_queues


def test_wrong_queues_and_pools_are_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WORKER_POOL", "Reports")
    environment.setenv("WORKER_QUEUES", "reports=3,mail")
    environment.setenv("WORKER_POOLS", "reports:mail")
    assert [problem.partition(":")[0] for problem in problems()] == [
        "WORKER_POOL", "WORKER_QUEUES", "WORKER_POOLS",
    ]  # fmt: skip
