"""The database: its safety, its capacity, its connections."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from scripts.doctor.model import (
    Database,
    NotCheckedError,
    Service,
    System,
    containers,
    known,
    services,
)
from scripts.doctor.rule import AURORA, Rule, Severity, rule
from service.contract import EnvVar, ProcessName
from stacks.config.connections import CONNECTION_SHARE, connections_wanted, max_connections
from stacks.config.processes import EcsProcess
from stacks.config.stage import Stage

CA_NOTICE = timedelta(days=180)


def _database(system: System) -> Database:
    return known(system, "database", system.database)


@rule(
    "database-unencrypted", Severity.ERROR,
    "Restore a snapshot into an encrypted cluster: an existing one cannot be encrypted.",
    f"{AURORA}/Overview.Encryption.html",
)  # fmt: skip
def database_unencrypted(system: System) -> Iterator[str]:
    if not _database(system).is_encrypted:
        yield "the database is not encrypted"


@rule(
    "database-unprotected", Severity.ERROR,
    "Set is_protected = true for the stage and deploy.",
    f"{AURORA}/USER_DeleteCluster.html",
)  # fmt: skip
def database_unprotected(system: System) -> Iterator[str]:
    if system.stage.is_protected and not _database(system).is_protected:
        yield "the stage is protected, but its database has no deletion protection"


@rule(
    "database-backup-short", Severity.WARNING,
    "Set database_backup_days to 7 or more.",
    f"{AURORA}/Aurora.Managing.Backups.html",
)  # fmt: skip
def database_backup_short(system: System) -> Iterator[str]:
    if (days := _database(system).backup_days) <= 1:
        yield f"backups of the database are kept for {days} day"


@rule(
    "database-pauses", Severity.ERROR,
    "Set database_min_acu = 0.5: an open connection keeps it awake, a new one waits for it.",
    f"{AURORA}/aurora-serverless-v2-auto-pause.html",
)  # fmt: skip
def database_pauses(system: System) -> Iterator[str]:
    database = _database(system)
    if database.least_acu > 0:
        return
    if database.has_proxy:
        yield "the database may pause at 0 ACU, but its proxy keeps it awake"
    if awake := [service.name for service in services(system) if service.is_wanted]:
        yield f"the database may pause at 0 ACU, but {', '.join(awake)} keeps it awake"


@rule(
    "database-proxy", Severity.ERROR,
    "Connect to the writer itself: LISTEN pins a connection of RDS Proxy, and gets lost there.",
    f"{AURORA}/rds-proxy-pinning.html",
)  # fmt: skip
def database_proxy(system: System) -> Iterator[str]:
    if system.database is not None and system.database.has_proxy:
        yield "there is a proxy in front of the database"
    for service, container in containers(system):
        host = _url(container.environment)[0]
        if ".proxy-" in host:
            yield f"{service.name}: {container.name} connects through the proxy {host}"


@rule(
    "database-tls-weak", Severity.ERROR,
    "End DATABASE_URL with ?sslmode=verify-full&sslrootcert=/etc/ssl/rds-global-bundle.pem.",
    f"{AURORA}/UsingWithRDS.SSL.html",
)  # fmt: skip
def database_tls_weak(system: System) -> Iterator[str]:
    if not system.stage.database_tls:
        raise NotCheckedError("database_tls is off: the stage's database is on the same machine")
    for service, container in containers(system):
        if EnvVar.DATABASE_URL not in container.environment:
            continue
        mode = _url(container.environment)[1]
        if mode != "verify-full":
            yield (
                f"{service.name}: {container.name} connects with sslmode={mode or 'unset'}: "
                "a machine in between can pretend to be the database"
            )


@rule(
    "database-roots-expire", Severity.WARNING,
    "`make rds-ca` downloads the root certificates again; then deploy.",
    f"{AURORA}/UsingWithRDS.SSL-certificate-rotation.html",
)  # fmt: skip
def database_roots_expire(system: System) -> Iterator[str]:
    for name, end in known(system, "ca_ends", system.ca_ends).items():
        if end < system.now + CA_NOTICE:
            yield f"the root certificate {name} expires on {end:%Y-%m-%d}"


@rule(
    "database-connections", Severity.ERROR,
    "Raise database_max_acu, or lower the maximum counts or the pool sizes.",
    f"{AURORA}/aurora-serverless-v2.setting-capacity.html",
)  # fmt: skip
def database_connections(system: System) -> Iterator[str]:
    database = _database(system)
    stage = replace(
        system.stage, database_min_acu=database.least_acu, database_max_acu=database.most_acu
    )
    processes = [_as_deployed(stage, service) for service in services(system)]
    wanted, offered = connections_wanted(processes), max_connections(stage)
    if wanted > CONNECTION_SHARE * offered:
        yield (
            f"a deploy at the maximum counts needs {wanted} connections; the database allows "
            f"{offered}, and {int(CONNECTION_SHARE * offered)} of them should be used at most"
        )


@rule(
    "database-plaintext", Severity.ERROR,
    "Set rds.force_ssl = 1 in the cluster's parameter group.",
    f"{AURORA}/AuroraPostgreSQL.Security.html",
)  # fmt: skip
def database_plaintext(system: System) -> Iterator[str]:
    value = known(system, "force_ssl", _database(system).force_ssl)
    if value not in {"1", "on"}:
        yield f"the database accepts connections without TLS (rds.force_ssl = {value or 'unset'})"


def _as_deployed(stage: Stage, service: Service) -> EcsProcess:
    """Counts and sizes as the ECS service has them; what it does not say is as in stages.toml."""
    environment = service.definition.main.environment
    default = stage.api if service.process == ProcessName.API else stage.worker_pools[0]
    sizes = {
        "pool_size": environment.get(EnvVar.DATABASE_POOL_SIZE),
        "queue_pool_size": environment.get(EnvVar.QUEUE_POOL_SIZE),
    }
    given = {key: int(value) for key, value in sizes.items() if value and value.isdecimal()}
    most = service.most or service.desired or 1
    return replace(default, max_count=most, **given)  # type: ignore[arg-type]


def _url(environment: Mapping[str, str]) -> tuple[str, str]:
    """Host and sslmode of DATABASE_URL."""
    parts = urlsplit(environment.get(EnvVar.DATABASE_URL, ""))
    mode = parse_qs(parts.query).get("sslmode", [""])[0]
    return parts.netloc.rpartition("@")[2], mode


DATABASE: tuple[Rule[System], ...] = (
    database_unencrypted, database_unprotected, database_backup_short, database_pauses,
    database_proxy, database_tls_weak, database_roots_expire, database_connections,
    database_plaintext,
)  # fmt: skip
