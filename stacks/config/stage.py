"""What can be configured, key by key: what it is, its default and what is allowed.

Standard library only.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from service.contract import (
    APP_NAME_MAX_CHARACTERS,
    APP_NAME_PATTERN,
    DEFAULT_APP_NAME,
    DRAIN_MAX_SECONDS,
    DRAIN_SECONDS,
    HTTP_PORT,
    HTTPS_PORT,
    LOCAL_STAGE,
    EnvVar,
    ProcessName,
    ServedQueues,
)
from stacks.config.naming import Names
from stacks.config.processes import EcsProcess, WorkerPool
from stacks.config.secrets import Secret
from stacks.config.subnets import LAYOUTS, MOST_ZONES, NARROWEST, WIDEST
from stacks.config.values import (
    DOMAIN,
    EMAIL,
    choice,
    count,
    flag,
    names,
    network,
    number,
    queues,
    text,
)
from stacks.config.variables import Variable

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
# without a query or a password: OTEL_EXPORTER_OTLP_HEADERS, a secret, has the provider's key
ENDPOINT = r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[^\s?#@]*)?"
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
    """What all names that people type begin with. It never changes: other names, other stacks."""
    account: str = text(r"\d{12}", "", example="123456789012", what="12 digits")
    """The AWS account; empty: that of the credentials."""
    region: str = text(REGION, "", example="eu-central-1", what="a region")
    """The AWS region; empty: that of the credentials."""
    is_protected: bool = flag(False)
    """Termination and deletion protection, and nothing with data in it goes with its stack."""
    first_deploy: bool = flag(False)
    """With `-c` only, for the first deployment of a protected stage: the protection comes with the
    next one, so that a first one that fails can be taken back."""
    log_retention_days: int = choice(RETENTION_DAYS, 30)
    """How long logs are kept, in days."""
    alarm_email: str = text(
        EMAIL, "", example="ops@example.com", most=254, what="an e-mail address"
    )
    """Who gets the alarms; empty: they reach the topic and no further."""
    runbook_url: str = text(
        r"\S+", "docs/runbook.md", most=500, what="an address or a path without spaces"
    )
    """What each alarm links to."""

    vpc_id: str = text(f"vpc-{ID}", "", example="vpc-0123456789abcdef0", what="the id of a VPC")
    """A VPC that is there, with `zone_names` and one subnet of each kind for each zone; empty: a
    new one."""
    vpc_cidr: str = network(WIDEST, NARROWEST, "10.0.0.0/16")
    """The addresses of a new VPC."""
    availability_zones: int = number(2, MOST_ZONES, 2)
    """In how many zones a new VPC is."""
    subnet_layout: str = choice(("", *LAYOUTS), "")
    """<egress>-<availability_zones> of the stage's first deployment, for good: the subnets that
    were made then stay where they are when one of the two changes. Empty: as the two are now."""
    zone_names: tuple[str, ...] = names(
        f"{REGION}[a-z]", example="eu-central-1a", what="an availability zone"
    )
    """The zones of the subnets of `vpc_id`, in their order."""
    public_subnet_ids: tuple[str, ...] = names(
        f"subnet-{ID}", example="subnet-0123456789abcdef0", what="the id of a subnet"
    )
    """Of `vpc_id`: where the load balancer is, one for each zone."""
    private_subnet_ids: tuple[str, ...] = names(
        f"subnet-{ID}", example="subnet-0123456789abcdef1", what="the id of a subnet"
    )
    """Of `vpc_id`: where ECS tasks run when `egress` is not "public", one for each zone."""
    isolated_subnet_ids: tuple[str, ...] = names(
        f"subnet-{ID}", example="subnet-0123456789abcdef2", what="the id of a subnet"
    )
    """Of `vpc_id`: where the database is, one for each zone."""
    egress: str = choice(("public", "nat", "endpoints"), "public")
    """How ECS tasks reach AWS. "public": an address each and no inbound rule, nothing per month;
    "nat": a gateway in each zone; "endpoints": AWS only, nothing else on the internet."""

    certificate_arn: str = text(
        rf"arn:aws[a-z-]*:acm:{REGION}:\d{{12}}:certificate/{UUID}",
        "",
        example="arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
        what="the ARN of a certificate in ACM",
    )
    """HTTPS by this certificate."""
    domain_name: str = text(
        DOMAIN, "", example="api.example.com", most=64, what="a domain in lower case"
    )  # a certificate's limit
    """HTTPS by a certificate that is made for this domain of a hosted zone, and its record."""
    hosted_zone_id: str = text(
        r"Z[A-Z0-9]{1,31}", "", example="Z0123456789ABCDEFGHIJ", what="the id of a hosted zone"
    )
    """The zone of `domain_name` in Route 53."""
    hosted_zone_name: str = text(
        DOMAIN, "", example="example.com", most=253, what="a domain in lower case"
    )
    """That zone's name."""
    allow_http: bool = flag(False)
    """Without certificate and domain: plain HTTP, and an output that says so."""
    web_firewall: bool = flag(False)
    """AWS WAF before the load balancer, about 9 USD a month."""
    # One address is refused after so many; a server that calls for many people is one address. The
    # least and the most are AWS's.
    web_firewall_requests: int = number(10, 2_000_000_000, 30_000)
    """How many requests one address may make in five minutes."""

    # One ACU is 2 GiB; 0.5 always on is about 45 USD a month.
    database_min_acu: float = number(0, 256, 0.5)
    """The least capacity of the database, in ACUs of 2 GiB; 0: it pauses when nobody connects."""
    database_max_acu: float = number(1, 256, 2)
    """The most capacity of the database, in ACUs of 2 GiB."""
    database_reader: bool = flag(False)
    """A second instance, which takes over within a minute."""
    database_backup_days: int = number(1, 35, 7)
    """How far back the database can be restored, in days."""
    database_tls: bool = flag(True)
    """Whether the database is reached by TLS; off is for a database on the same machine."""

    image: str = text(
        IMAGE, "", example="ghcr.io/example/shop:1.0", most=255, what="a container image"
    )
    """A container image that is there; empty: one is built from this folder."""
    cpu_architecture: str = choice(("arm64", "x86_64"), "arm64")
    """The processor of all ECS tasks; arm64 is a fifth cheaper."""
    # Only for a stage whose deployment ends in "already exists" (CHANGELOG.md).
    use_launch_type: bool = flag(False)
    """ECS services by launch type, as before 0.2, unless `worker_spot_percent` asks for Spot."""
    enable_exec: bool = flag(False)
    """A shell by `aws ecs execute-command`; the root file system is writable then."""
    operator_policies: bool = flag(False)
    """Three managed policies for the people of the stage, docs/operators.md."""
    email_from: str = text(
        EMAIL, "", example="hello@example.com", most=254, what="an e-mail address"
    )
    """A sender that SES has verified; with it, workers may send."""
    sqs_queue: str = text(
        r"[A-Za-z0-9_-]{1,75}(\.fifo)?", "", example="jobs", most=80, what="the name of a queue"
    )
    """An SQS queue of this account and region that carries the jobs; empty: Postgres does."""
    telemetry_endpoint: str = text(
        ENDPOINT, "", example="https://otlp.example.com", most=500, what="an address of HTTP"
    )
    """Where API and workers send traces and metrics by OTLP; empty: nowhere."""
    telemetry_collector: bool = flag(False)
    """A collector beside each process, which sends its traces to AWS X-Ray."""
    drain_seconds: int = number(5, DRAIN_MAX_SECONDS, DRAIN_SECONDS)
    """How long a running job may take to end after SIGTERM, in seconds."""

    api_cpu: int = choice(CPU, 256)
    """CPU units of an ECS task of the API; 1024 are one vCPU."""
    api_memory_mib: int = number(512, 122880, 512)
    """Memory of an ECS task of the API, in MiB."""
    api_min_count: int = number(0, 100, 1)
    """The fewest ECS tasks of the API that the autoscaler keeps."""
    api_max_count: int = number(1, 100, 4)
    """The most ECS tasks of the API that the autoscaler starts."""
    api_desired_count: int | None = count(100)
    """How many a deployment sets; absent: the count is the autoscaler's."""
    api_requests_target: int = number(1, 1_000_000, 1000)
    """Requests a minute for each ECS task; more start another one."""
    api_cpu_target_percent: int = number(10, 90, 60)
    """Use of the CPU; more starts another ECS task."""
    api_pool_size: int = number(1, 100, 10)
    """Connections of an ECS task of the API to the database, for the routes."""
    api_queue_pool_size: int = number(2, 100, 4)
    """And for the queue."""
    api_reads_logs: bool = flag(False)
    """The console shows the log lines of a job: the API may read the log groups of the stage's own
    processes. On the local twin it always does."""

    worker_queues: ServedQueues = queues()  # noqa: RUF009 - it is frozen
    """The queues that the workers serve: a list, strictly in this order, or a table of weights."""
    worker_cpu: int = choice(CPU, 256)
    """CPU units of a worker; 1024 are one vCPU."""
    worker_memory_mib: int = number(512, 122880, 512)
    """Memory of a worker, in MiB."""
    worker_min_count: int = number(0, 100, 1)
    """The fewest workers that the autoscaler keeps; 0: none while there are no jobs."""
    worker_max_count: int = number(1, 100, 4)
    """The most workers that the autoscaler starts."""
    worker_desired_count: int | None = count(100)
    """How many a deployment sets; absent: the count is the autoscaler's."""
    worker_spot_percent: int = number(0, 100, 0)
    """Above the minimum, how many run on Spot."""
    worker_concurrency: int = number(1, 1000, 10)
    """Jobs that one worker runs at once."""
    worker_jobs_target: int = number(1, 100_000, 10)
    """Jobs waiting and running for each worker; more start another one."""
    worker_age_target_seconds: int = number(10, 86_400, 60)
    """How long the oldest due job may wait, in seconds, before another worker starts."""
    worker_pool_size: int = number(1, 100, 10)
    """Connections of a worker to the database, for the tasks."""
    worker_queue_pool_size: int = number(2, 100, 4)
    """And for the queue."""

    variables: tuple[Variable, ...] = ()
    secrets: tuple[Secret, ...] = ()
    pools: tuple[WorkerPool, ...] = ()  # beside the default one, whose keys are those of workers

    @property
    def api(self) -> EcsProcess:
        return EcsProcess(process=ProcessName.API, **self._keys_of(ProcessName.API, EcsProcess))

    @property
    def worker_pools(self) -> tuple[WorkerPool, ...]:
        """All pools, the default one first."""
        return (WorkerPool(**self._keys_of(ProcessName.WORKER, WorkerPool)), *self.pools)

    @property
    def log_groups(self) -> list[str]:
        """The names of the log groups of all processes."""
        return [self.names.log_group(each.name) for each in self.processes]

    @property
    def has_readable_logs(self) -> bool:
        """May the API read the logs of the stage's processes?"""
        return self.api_reads_logs or self.stage == LOCAL_STAGE

    @property
    def processes(self) -> tuple[EcsProcess, ...]:
        """What runs as an ECS service: the API, and the workers of each pool."""
        return (self.api, *self.worker_pools)

    def process(self, name: str) -> EcsProcess | None:
        """The process of that name (`api`, `worker`, `worker-reports`), if the stage has it."""
        return next((each for each in self.processes if each.name == name), None)

    def changed(self, ecs_process: EcsProcess, **values: int) -> Self:
        """The stage with other values for some keys of one process."""
        if ecs_process.pool:
            pools = (replace(p, **values) if p.pool == ecs_process.pool else p for p in self.pools)  # type: ignore[arg-type]
            return replace(self, pools=tuple(pools))
        return replace(self, **{ecs_process.key(key): value for key, value in values.items()})  # type: ignore[arg-type]

    def _keys_of(self, process: ProcessName, kind: type[EcsProcess]) -> dict[str, Any]:
        own = (f"{process}_{field.name}" for field in fields(kind))
        return {key.partition("_")[2]: getattr(self, key) for key in own if hasattr(self, key)}

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
    def has_telemetry(self) -> bool:
        """Does the image need the libraries of docs/telemetry.md?"""
        return (
            bool(self.telemetry_endpoint)
            or self.telemetry_collector
            or any(secret.name == EnvVar.SENTRY_DSN for secret in self.secrets)
        )

    @property
    def telemetry_port(self) -> int | None:
        """The port of `telemetry_endpoint`, which ECS tasks must reach."""
        if not self.telemetry_endpoint:
            return None
        scheme, _, rest = self.telemetry_endpoint.partition("://")
        port = rest.partition("/")[0].partition(":")[2]
        return int(port) if port else {"http": HTTP_PORT, "https": HTTPS_PORT}[scheme]

    @property
    def layout(self) -> str:
        """The layout of a new VPC's subnets."""
        return self.subnet_layout or f"{self.egress}-{self.availability_zones}"


CONFIGURABLE = {field.name: field for field in fields(Stage) if field.metadata}
