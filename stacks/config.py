"""What can be configured, key by key. Standard library only.

`stages.toml` gives a stage's values; `-c key=value` overrides one for one deploy.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from service.contract import (
    APP_NAME_PATTERN,
    DEFAULT_APP_NAME,
    DRAIN_MAX_SECONDS,
    DRAIN_SECONDS,
    LOCAL_STAGE,
)
from stacks.naming import Names
from stacks.values import ConfigError, check, choice, count, flag, names, number, text, unknown

STAGES = ("dev", "prod", LOCAL_STAGE)
STAGES_FILE = Path(__file__).parent.parent / "stages.toml"

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
CPU = (256, 512, 1024, 2048, 4096, 8192, 16384)
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage's settings. Money: each default is the cheap choice that still works."""

    stage: str
    app_name: str = text(APP_NAME_PATTERN, DEFAULT_APP_NAME)
    account: str = text(r"\d{12}", "")  # empty: that of the credentials
    region: str = text(r"[a-z]{2}(-[a-z]+)+-\d", "")  # empty: that of the credentials
    # Termination and deletion protection, and nothing with data in it goes with its stack.
    is_protected: bool = flag(False)
    log_retention_days: int = choice(RETENTION_DAYS, 30)
    alarm_email: str = text(r"[^@\s]+@[^@\s]+", "")  # empty: alarms reach the topic and no further
    runbook_url: str = text(r"\S+", "docs/runbook.md")  # what each alarm links to

    # A new VPC, or the one with `vpc_id` and one subnet of each kind for each zone. `private` is
    # where ECS tasks run when egress is not "public"; `isolated` is the database's.
    vpc_id: str = text(r"vpc-[0-9a-f]+", "")
    vpc_cidr: str = text(r"(\d{1,3}\.){3}\d{1,3}/(1[6-9]|2[0-2])", "10.0.0.0/16")
    availability_zones: int = number(2, 3, 2)
    zone_names: tuple[str, ...] = names(r"[a-z]{2}(-[a-z]+)+-\d[a-z]")
    public_subnet_ids: tuple[str, ...] = names(r"subnet-[0-9a-f]+")
    private_subnet_ids: tuple[str, ...] = names(r"subnet-[0-9a-f]+")
    isolated_subnet_ids: tuple[str, ...] = names(r"subnet-[0-9a-f]+")
    # How ECS tasks reach AWS. "public": an address each and no inbound rule, nothing per month;
    # "nat": a gateway in each zone; "endpoints": AWS only, nothing else on the internet.
    egress: str = choice(("public", "nat", "endpoints"), "public")

    # HTTPS by a certificate, or by a domain in a hosted zone whose certificate is then made here.
    certificate_arn: str = text(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]+", "")
    domain_name: str = text(r"([a-z0-9-]+\.)+[a-z]{2,}", "")
    hosted_zone_id: str = text(r"Z[A-Z0-9]+", "")
    hosted_zone_name: str = text(r"([a-z0-9-]+\.)+[a-z]{2,}", "")
    allow_http: bool = flag(False)  # without either: plain HTTP, and an output that says so
    web_firewall: bool = flag(False)  # AWS WAF before the balancer, about 9 USD a month

    # One ACU is 2 GiB; 0.5 always on is about 45 USD a month.
    database_min_acu: float = number(0, 256, 0.5)
    database_max_acu: float = number(1, 256, 2)
    database_reader: bool = flag(False)  # a second instance, which takes over within a minute
    database_backup_days: int = number(1, 35, 7)
    database_tls: bool = flag(True)  # off: for a database on the same machine

    image: str = text(r"\S+", "")  # empty: built from this folder
    cpu_architecture: str = choice(("arm64", "x86_64"), "arm64")
    enable_exec: bool = flag(
        False
    )  # a shell by `aws ecs execute-command`; the root is writable then
    operator_policies: bool = flag(False)  # three managed policies, docs/operators.md
    email_from: str = text(r"[^@\s]+@[^@\s]+", "")  # a sender that SES has verified
    # An SQS queue of this account and region that carries the jobs; empty: Postgres does.
    sqs_queue: str = text(r"[A-Za-z0-9_-]{1,75}(\.fifo)?", "")
    drain_seconds: int = number(5, DRAIN_MAX_SECONDS, DRAIN_SECONDS)

    api_cpu: int = choice(CPU, 256)
    api_memory_mib: int = number(512, 122880, 512)
    api_min_count: int = number(0, 100, 1)
    api_max_count: int = number(1, 100, 4)
    api_desired_count: int | None = count(100)  # absent: the count is the autoscaler's
    api_requests_target: int = number(1, 1_000_000, 1000)  # a minute for each ECS task
    api_cpu_target_percent: int = number(10, 90, 60)
    api_pool_size: int = number(1, 100, 10)
    api_queue_pool_size: int = number(2, 100, 4)

    worker_cpu: int = choice(CPU, 256)
    worker_memory_mib: int = number(512, 122880, 512)
    worker_min_count: int = number(0, 100, 1)
    worker_max_count: int = number(1, 100, 4)
    worker_desired_count: int | None = count(100)  # absent: the count is the autoscaler's
    worker_spot_percent: int = number(0, 100, 0)  # above the minimum, how many run on Spot
    worker_concurrency: int = number(1, 1000, 10)
    worker_jobs_target: int = number(1, 100_000, 10)  # waiting and running, for each worker
    worker_age_target_seconds: int = number(10, 86_400, 60)  # an older job calls for more workers
    worker_pool_size: int = number(1, 100, 10)
    worker_queue_pool_size: int = number(2, 100, 4)

    @property
    def names(self) -> Names:
        return Names(self.app_name, self.stage)

    @property
    def is_https(self) -> bool:
        return bool(self.certificate_arn or self.domain_name)


CONFIGURABLE = {field.name: field for field in fields(Stage) if field.name != "stage"}


def read_stage(
    stage: str,
    overrides: Mapping[str, object] | None = None,
    *,
    file: Path = STAGES_FILE,
) -> Stage:
    """The settings of `stage`: defaults, the file, then `overrides` (which may be text).

    Raises `ConfigError` with every wrong key and value and what is allowed.
    """
    if stage not in STAGES:
        raise ConfigError([f"stage = {stage!r}: allowed are {', '.join(STAGES)}"])
    given = _from_file(stage, file) | dict(overrides or {})
    problems = [unknown(key, CONFIGURABLE) for key in given if key not in CONFIGURABLE]
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key in CONFIGURABLE:
            try:
                values[key] = check(CONFIGURABLE[key], value)
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise ConfigError(problems)
    return Stage(stage=stage, **values)


def _from_file(stage: str, file: Path) -> dict[str, object]:
    try:
        found = tomllib.loads(file.read_text("utf-8-sig"))  # some editors begin with a mark
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([f"{file.name}: line {line} is not UTF-8; save it as UTF-8"]) from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{file.name}: {error}"]) from None
    tables = {key: value for key, value in found.items() if isinstance(value, dict)}
    if problems := [unknown(f"[{key}]", STAGES) for key in tables if key not in STAGES]:
        raise ConfigError([f"{file.name}: {problem}" for problem in problems])
    return {key: value for key, value in found.items() if key not in tables} | tables.get(stage, {})
