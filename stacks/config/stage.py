"""What can be configured, key by key. Standard library only.

`stages.toml` gives a stage's values; `-c key=value` overrides one for one deploy.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from service.contract import (
    APP_NAME_MAX_CHARACTERS,
    APP_NAME_PATTERN,
    DEFAULT_APP_NAME,
    DRAIN_MAX_SECONDS,
    DRAIN_SECONDS,
    LOCAL_STAGE,
)
from stacks.config.naming import Names
from stacks.config.subnets import LAYOUTS, MOST_ZONES, NARROWEST, WIDEST
from stacks.config.values import (
    DOMAIN,
    EMAIL,
    ConfigError,
    check,
    choice,
    count,
    flag,
    names,
    network,
    number,
    text,
    unknown,
)

STAGES = ("dev", "prod", LOCAL_STAGE)
STAGES_FILE = Path(__file__).parents[2] / "stages.toml"

# A rolling deployment runs the new ECS tasks beside the old ones.
MAXIMUM_PERCENT = 200

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
CPU = (256, 512, 1024, 2048, 4096, 8192, 16384)
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip

REGION = r"[a-z]{2,4}(-[a-z]+)+-\d+"
ID = "([0-9a-f]{8}|[0-9a-f]{17})"  # of a VPC or a subnet; the short ones are from before 2016
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# https://pkg.go.dev/github.com/distribution/reference: registry, name, tag, digest
IMAGE = (
    r"([A-Za-z0-9.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage's settings. Money: each default is the cheap choice that still works."""

    stage: str
    app_name: str = text(
        APP_NAME_PATTERN,
        DEFAULT_APP_NAME,
        most=APP_NAME_MAX_CHARACTERS,
        what="a-z, 0-9 and single hyphens between them, a letter first",
    )
    # Empty, both are those of the credentials.
    account: str = text(r"\d{12}", "", example="123456789012", what="12 digits")
    region: str = text(REGION, "", example="eu-central-1", what="a region")
    # Termination and deletion protection, and nothing with data in it goes with its stack.
    is_protected: bool = flag(False)
    # On the command line, for the first deployment of a protected stage: deletion and termination
    # protection come with the next one, so that a first one that fails can be taken back.
    first_deploy: bool = flag(False)
    log_retention_days: int = choice(RETENTION_DAYS, 30)
    # Empty: alarms reach the topic and no further.
    alarm_email: str = text(
        EMAIL, "", example="ops@example.com", most=254, what="an e-mail address"
    )
    # What each alarm links to.
    runbook_url: str = text(
        r"\S+", "docs/runbook.md", most=500, what="an address or a path without spaces"
    )

    # A new VPC, or the one with `vpc_id` and one subnet of each kind for each zone. `private` is
    # where ECS tasks run when egress is not "public"; `isolated` is the database's.
    vpc_id: str = text(f"vpc-{ID}", "", example="vpc-0123456789abcdef0", what="the id of a VPC")
    vpc_cidr: str = network(WIDEST, NARROWEST, "10.0.0.0/16")
    availability_zones: int = number(2, MOST_ZONES, 2)
    # <egress>-<availability_zones> of the stage's first deployment, for good: the subnets that were
    # made then stay where they are when one of the two changes. Empty: as the two are now.
    subnet_layout: str = choice(("", *LAYOUTS), "")
    zone_names: tuple[str, ...] = names(
        f"{REGION}[a-z]", example="eu-central-1a", what="an availability zone"
    )
    public_subnet_ids: tuple[str, ...] = names(
        f"subnet-{ID}", example="subnet-0123456789abcdef0", what="the id of a subnet"
    )
    private_subnet_ids: tuple[str, ...] = names(
        f"subnet-{ID}", example="subnet-0123456789abcdef1", what="the id of a subnet"
    )
    isolated_subnet_ids: tuple[str, ...] = names(
        f"subnet-{ID}", example="subnet-0123456789abcdef2", what="the id of a subnet"
    )
    # How ECS tasks reach AWS. "public": an address each and no inbound rule, nothing per month;
    # "nat": a gateway in each zone; "endpoints": AWS only, nothing else on the internet.
    egress: str = choice(("public", "nat", "endpoints"), "public")

    # HTTPS by a certificate, or by a domain in a hosted zone whose certificate is then made here.
    certificate_arn: str = text(
        rf"arn:aws[a-z-]*:acm:{REGION}:\d{{12}}:certificate/{UUID}",
        "",
        example="arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
        what="the ARN of a certificate in ACM",
    )
    domain_name: str = text(
        DOMAIN, "", example="api.example.com", most=64, what="a domain in lower case"
    )  # a certificate's limit
    hosted_zone_id: str = text(
        r"Z[A-Z0-9]{1,31}", "", example="Z0123456789ABCDEFGHIJ", what="the id of a hosted zone"
    )
    hosted_zone_name: str = text(
        DOMAIN, "", example="example.com", most=253, what="a domain in lower case"
    )
    allow_http: bool = flag(False)  # without either: plain HTTP, and an output that says so
    web_firewall: bool = flag(False)  # AWS WAF before the balancer, about 9 USD a month
    # From one address in five minutes, then it is refused; a server that calls for many people is
    # one address. The least and the most are AWS's.
    web_firewall_requests: int = number(10, 2_000_000_000, 30_000)

    # One ACU is 2 GiB; 0.5 always on is about 45 USD a month.
    database_min_acu: float = number(0, 256, 0.5)
    database_max_acu: float = number(1, 256, 2)
    database_reader: bool = flag(False)  # a second instance, which takes over within a minute
    database_backup_days: int = number(1, 35, 7)
    database_tls: bool = flag(True)  # off: for a database on the same machine

    # Empty: built from this folder.
    image: str = text(
        IMAGE, "", example="ghcr.io/example/shop:1.0", most=255, what="a container image"
    )
    cpu_architecture: str = choice(("arm64", "x86_64"), "arm64")
    # ECS services by launch type, as before 0.2, unless worker_spot_percent asks for Spot. Only for
    # a stage of that time whose deployment ends in "already exists" (CHANGELOG.md).
    use_launch_type: bool = flag(False)
    # A shell by `aws ecs execute-command`; the root is writable then.
    enable_exec: bool = flag(False)
    operator_policies: bool = flag(False)  # three managed policies, docs/operators.md
    # A sender that SES has verified.
    email_from: str = text(
        EMAIL, "", example="hello@example.com", most=254, what="an e-mail address"
    )
    # An SQS queue of this account and region that carries the jobs; empty: Postgres does.
    sqs_queue: str = text(
        r"[A-Za-z0-9_-]{1,75}(\.fifo)?", "", example="jobs", most=80, what="the name of a queue"
    )
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

    @property
    def is_locked(self) -> bool:
        """Deletion and termination protection: once a protected stage stands."""
        return self.is_protected and not self.first_deploy

    @property
    def layout(self) -> str:
        """Of a new VPC's subnets."""
        return self.subnet_layout or f"{self.egress}-{self.availability_zones}"


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
    written = _from_file(stage, file)
    given = written | dict(overrides or {})
    problems = [unknown(key, CONFIGURABLE) for key in given if key not in CONFIGURABLE]
    if "first_deploy" in written:
        problems.append(
            f"first_deploy: is for one deployment, -c first_deploy=true, and not for {file.name}"
        )
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
