"""The settings of a process: `service/__main__.py` reads them once and passes them on."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service import contract
from service.database_url import ENCODE, SCHEMES, read_database_url, unreadable_file
from service.redact import DEFAULT, Names

QUEUE_SCHEMES = (*SCHEMES, "memory://", "redis://", "rediss://", "sqs://")
ARN_OR_NAME = (
    r"^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]+:secret:)?[A-Za-z0-9/_+=.@!-]{1,512}$"
)
SECRET_MIN_CHARACTERS = 16
CONCURRENCY_MAX = 1000
AUTH_OFF = "API_AUTH=off leaves authentication to what stands in front of the API"


class SettingsError(Exception):
    """The environment is wrong; `problems` has a line for each wrong variable, without values."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"the environment has {len(problems)} problem(s):\n{lines}")


class Settings(BaseSettings):
    """The settings of a process. A field's name is its environment variable's in lower case.

    Raises `pydantic.ValidationError`; use `load_settings`, whose error names the variables.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    app_name: Annotated[
        str, Field(pattern=contract.APP_NAME_PATTERN, max_length=contract.APP_NAME_MAX_CHARACTERS)
    ] = contract.DEFAULT_APP_NAME
    stage: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,15}$")]
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "pretty"] = "auto"
    # whose values are not shown; `service/redact.py` says how they are written
    redact_names: str = DEFAULT

    database_url: SecretStr
    # or the secret's name, which Secrets Manager accepts too
    database_secret_arn: Annotated[str | None, Field(pattern=ARN_OR_NAME)] = None
    database_pool_size: Annotated[int, Field(ge=1, le=100)] = 10
    queue_dsn: SecretStr | None = None
    queue_pool_size: Annotated[int, Field(ge=2, le=100)] = 4

    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=1, le=65535)] = contract.API_PORT
    # An open socket that listens already, as a supervisor hands it over; in the place of the port.
    api_fd: Annotated[int | None, Field(ge=3)] = None
    api_auth: Literal["key", "off"] = "key"
    api_key: SecretStr | None = None
    ui_username: str | None = None
    ui_password: Annotated[SecretStr | None, Field(validate_default=True)] = None

    worker_mode: Literal["standalone", "in-process"] = "standalone"
    worker_pool: Annotated[str, Field(pattern=rf"^$|{contract.POOL_NAME_PATTERN}")] = ""
    # None: those of the pool, or all where the pools are not known.
    worker_queues: Annotated[contract.ServedQueues | None, NoDecode] = None
    # The queues of each pool; None where they are not known.
    worker_pools: Annotated[dict[str, contract.ServedQueues] | None, NoDecode] = None
    worker_concurrency: Annotated[int, Field(ge=1, le=CONCURRENCY_MAX)] = 10
    worker_poll_seconds: Annotated[float, Field(ge=0.1, le=60)] = 5.0
    worker_heartbeat_file: str = contract.HEARTBEAT_FILE
    drain_seconds: Annotated[int, Field(ge=0, le=contract.DRAIN_MAX_SECONDS)] = (
        contract.DRAIN_SECONDS
    )
    # At most a minute, because the alarms check each minute.
    metric_seconds: Annotated[int, Field(ge=1, le=contract.METRIC_SECONDS)] = (
        contract.METRIC_SECONDS
    )

    bucket: Annotated[str | None, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = None
    email_from: Annotated[str | None, Field(pattern=r"@")] = None
    # The ports on which jobs can reach the internet from here; empty: none, None: all.
    internet_ports: Annotated[frozenset[int] | None, NoDecode] = None
    # The log groups that the API may read, for the log lines of a job; empty: none.
    console_log_groups: Annotated[str, Field(pattern=r"^[A-Za-z0-9_./#,-]*$")] = ""
    # The variables of OpenTelemetry and Sentry themselves; their libraries read others.
    otel_exporter_otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    otel_sdk_disabled: str = ""
    otel_traces_exporter: str = "otlp"  # "none": no traces; and so the next
    otel_metrics_exporter: str = "otlp"
    sentry_dsn: SecretStr | None = None
    aws_region: Annotated[str | None, Field(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$")] = None
    # ECS sets this and the next.
    ecs_agent_uri: Annotated[str | None, Field(pattern=r"^https?://")] = None
    ecs_container_metadata_uri_v4: str | None = None

    @field_validator("log_level", "log_format", "api_auth", "worker_mode", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("redact_names")
    @classmethod
    def _are_names(cls, value: str) -> str:
        Names(value)
        return value

    @field_validator("worker_queues", mode="before")
    @classmethod
    def _are_queues(cls, value: object) -> object:
        return contract.ServedQueues.read(value) if isinstance(value, str) else value

    @field_validator("worker_pools", mode="before")
    @classmethod
    def _are_pools(cls, value: object) -> object:
        return contract.read_pools(value) if isinstance(value, str) else value

    @field_validator("internet_ports", mode="before")
    @classmethod
    def _are_ports(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not all(part.isdecimal() and 0 < int(part) < 65536 for part in parts):
            raise ValueError("must be ports with commas between them, such as 80,443, or empty")
        return frozenset(map(int, parts))

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr) -> SecretStr:
        return SecretStr(read_database_url(value.get_secret_value()))

    @field_validator("queue_dsn")
    @classmethod
    def _is_queue(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is None else _queue_address(value)

    # Field validators, not model validators: those run only once every field is right, so the user
    # would see these problems one start later.
    @field_validator("api_key")
    @classmethod
    def _is_key_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            keys = value.get_secret_value().split()
            if not 1 <= len(keys) <= contract.API_KEYS_MAX:
                raise ValueError("must be one key, or two with a space between while it is changed")
            for key in keys:
                _long_enough(SecretStr(key))
        return value

    @field_validator("ui_password")
    @classmethod
    def _is_pair_given(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (value is None) != (info.data.get("ui_username") is None):
            raise ValueError("UI_USERNAME and UI_PASSWORD go together: give both or neither")
        return value if value is None else _long_enough(value)

    @property
    def is_local(self) -> bool:
        return self.stage == contract.LOCAL_STAGE

    @property
    def api_keys(self) -> list[str]:
        """The keys that are valid: one, two while it is changed, or none."""
        return self.api_key.get_secret_value().split() if self.api_key else []

    @property
    def sends_telemetry(self) -> bool:
        """Are traces and metrics sent by OTLP? Where no address is set, nothing is."""
        is_off = self.otel_sdk_disabled.strip().lower() == "true"
        return bool(self.otel_exporter_otlp_endpoint) and not is_off

    @property
    def is_console_open(self) -> bool:
        """May everybody who reaches this machine's own addresses use the console, as the API?"""
        is_private = self.is_local and is_loopback(self.api_host)
        return is_private and not self.api_keys and self.ui_password is None

    @property
    def database_dsn(self) -> str:
        """The application's database, credentials included: never log it."""
        return self.database_url.get_secret_value()

    @property
    def owner_dsn(self) -> str | None:
        """The same database as its owner; only `migrate` has it. None where there is one user."""
        return None

    @property
    def queue_url(self) -> str:
        """The queue's address: `QUEUE_DSN`, else `DATABASE_URL`. Never log it."""
        return (self.queue_dsn or self.database_url).get_secret_value()


class DomainSettings(BaseSettings):
    """The base of a domain's settings, a class in its `settings.py`.

        class Settings(DomainSettings):
            site_name: str = "Shop"
            stripe_key: SecretStr

    A field's name is its environment variable's in lower case. Each process that reads them checks
    them when it starts, with all others. `Settings()` reads them, in a route, a task or a hook.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    processes: ClassVar[tuple[contract.ProcessName, ...]] = (
        contract.ProcessName.API,
        contract.ProcessName.WORKER,
    )
    """Which processes read them; both unless the class says otherwise."""


class ApiSettings(Settings):
    """The API's settings. In other processes the API key may be missing."""

    worker_mode: Annotated[Literal["standalone", "in-process"], Field(validate_default=True)] = (
        "standalone"
    )

    api_key: Annotated[SecretStr | None, Field(validate_default=True)] = None

    @field_validator("api_key")
    @classmethod
    def _is_key_given(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        stage, auth = info.data.get("stage"), info.data.get("api_auth")
        if value is not None or auth != "key":
            return value
        if stage != contract.LOCAL_STAGE:
            raise ValueError(f"missing; every stage but local needs one ({AUTH_OFF})")
        if "api_host" in info.data and not is_loopback(info.data["api_host"]):
            raise ValueError(
                "missing; with an API_HOST that other machines reach (any but localhost, 127.0.0.1 "
                f"or ::1) the API needs one ({AUTH_OFF})"
            )
        return value

    @field_validator("worker_mode")
    @classmethod
    def _is_in_memory(cls, value: str, info: ValidationInfo) -> str:
        queue: SecretStr | None = info.data.get("queue_dsn")
        if value == "standalone" and queue and queue.get_secret_value().startswith("memory:"):
            raise ValueError("must be in-process with QUEUE_DSN=memory://, which no process shares")
        return value


class MigrateSettings(Settings):
    """The settings of `migrate`, with the owner of the database.

    Without `DATABASE_OWNER_URL` the user of `DATABASE_URL` is the owner.
    """

    database_owner_url: SecretStr | None = None
    database_owner_password: SecretStr | None = None

    @field_validator("database_owner_url")
    @classmethod
    def _is_another_user(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        given: SecretStr | None = info.data.get("database_url")
        if value is None or given is None:
            return value
        value = cls._is_postgres(value)
        owner, user = (urlsplit(each.get_secret_value()).username for each in (value, given))
        if owner is None or user is None or owner == user:
            raise ValueError(
                "must name another user than DATABASE_URL, which has to name one too; "
                "leave it out where there is one user for all"
            )
        return value

    @property
    def owner_dsn(self) -> str | None:
        """`DATABASE_OWNER_URL`, with `DATABASE_OWNER_PASSWORD` where given. Never log it."""
        if self.database_owner_url is None:
            return None
        url = self.database_owner_url.get_secret_value()
        if self.database_owner_password is None:
            return url
        password = quote(self.database_owner_password.get_secret_value(), safe="")
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        netloc = f"{login.partition(':')[0]}:{password}@{hosts}"
        return urlunsplit(parts._replace(netloc=netloc))


def is_loopback(host: str) -> bool:
    """Can other machines not reach a server that listens on `host`?

    False for every name but localhost, because its address is only known when it is resolved. An
    empty `host` means all addresses.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (inner or address).is_loopback


def settings_of(process: contract.ProcessName) -> type[Settings]:
    """The settings that `process` reads."""
    of_their_own: dict[contract.ProcessName, type[Settings]] = {
        contract.ProcessName.API: ApiSettings,
        contract.ProcessName.MIGRATE: MigrateSettings,
    }
    return of_their_own.get(process, Settings)


def _queue_address(given: SecretStr) -> SecretStr:
    """The checked address. Raises `ValueError` without the address, which may hold a password."""
    value = given.get_secret_value().strip()
    if not value.startswith(QUEUE_SCHEMES):
        raise ValueError("must start with postgresql://, memory://, redis://, rediss:// or sqs://")
    if value.startswith(SCHEMES):
        return SecretStr(read_database_url(value))
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError(ENCODE) from None
    special = parts.fragment or "@" in parts.path + parts.query or parts.netloc.count("@") > 1
    if special or "#" in value or re.search(r"%(?![0-9A-Fa-f]{2})", value):
        raise ValueError(ENCODE)
    if parts.scheme in ("redis", "rediss") and not re.fullmatch(r"/?[0-9]{0,4}", parts.path):
        raise ValueError(f"{parts.scheme}:// ends with the number of a database, like /0")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = {
        "redis": {"concurrency"},
        "rediss": {"concurrency"},
        "sqs": {"region"},
        "memory": set(),
    }
    for name in query.keys() - known.get(parts.scheme, query.keys()):
        raise ValueError(f"{parts.scheme}:// has no option {name!r}")
    concurrency = query.get("concurrency", "1")
    if parts.scheme in ("redis", "rediss") and not (
        re.fullmatch(r"[0-9]{1,4}", concurrency) and 1 <= int(concurrency) <= CONCURRENCY_MAX
    ):
        raise ValueError(f"concurrency must be 1 to {CONCURRENCY_MAX}")
    if parts.scheme == "sqs" and not (parts.netloc or parts.path.strip("/")):
        raise ValueError("names no queue: sqs://<queue's name> or sqs://<host>/<account>/<name>")
    return SecretStr(value)


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < SECRET_MIN_CHARACTERS:
        raise ValueError(f"must have at least {SECRET_MIN_CHARACTERS} characters")
    return secret


def load_settings(process: contract.ProcessName, *, also: Sequence[str] = ()) -> Settings:
    """Read the environment once, for `process`. `also` are problems found elsewhere.

    Raises one `SettingsError` that names every missing or wrong variable, without its value.
    """
    try:
        settings = settings_of(process)()
    except ValidationError as error:
        raise SettingsError([*problems_of(error, Settings), *also]) from None
    addresses = {"DATABASE_URL": settings.database_dsn, "QUEUE_DSN": settings.queue_url}
    problems = [
        f"{name}: {problem}"
        for name, url in addresses.items()
        if url.startswith(SCHEMES) and (problem := unreadable_file(url))
    ]
    if not settings.queue_dsn:
        del problems[1:]  # the queue's address is the database's
    if problems or also:
        raise SettingsError([*problems, *also])
    return settings


def problems_of(error: ValidationError, kind: type[BaseSettings]) -> list[str]:
    """A line for each variable that is missing or wrong, without its value."""
    return [_problem(dict(found), kind) for found in error.errors()]


def _problem(found: dict[str, object], kind: type[BaseSettings]) -> str:
    location = found["loc"]
    assert isinstance(location, tuple)
    message = str(found["msg"]).removeprefix("Value error, ")
    name = str(location[0]).upper()
    if found["type"] == "missing":
        message = "missing"
    elif limits := _limits(str(location[0]), kind):
        message = f"must be a number from {limits[0]} to {limits[1]}"
    return f"{name}: {message}"


def _limits(field: str, kind: type[BaseSettings]) -> list[float]:
    """The least and the greatest value of a field that has both; empty for other fields."""
    found = kind.model_fields[field].metadata if field in kind.model_fields else []
    limits = [getattr(each, side) for side in ("ge", "le") for each in found if hasattr(each, side)]
    return limits if len(limits) == 2 else []
