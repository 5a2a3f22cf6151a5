"""The operator's environment variables, and those that the local stage's processes get."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from scripts.errors import OperatorError
from scripts.host.address import Address
from service.contract import API_PORT, LOCAL_STAGE, EnvVar

DRAIN_SECONDS = 10  # a developer waits for it, so less than in a deployed stage
UNCLEAR = "the database"
# The variables that a program of ours gets from the operator's terminal. Others are kept away:
# those of AWS, the CDK, proxies, certificates, Postgres, Python, Node and moto could lead past the
# twin or break its callers.
INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR",
    "LD_LIBRARY_PATH",  # some builds of Python need it
)  # fmt: skip
FOLDERS = ("HOME", "TMPDIR")
SERVER = re.compile(r"(?:/.+|[\w.-]+|\[[\da-f:.]+\])(:\d+)?")  # a socket folder, name or address


def inherited(given: Mapping[str, str], spare: Path) -> dict[str, str]:
    """The variables of `given` that a program of the twin gets; `spare` is its HOME if unset."""
    found = {name: given[name] for name in INHERITED if given.get(name)}
    for name in FOLDERS:
        if name in found and not (os.path.isdir(found[name]) and os.access(found[name], os.W_OK)):
            del found[name]
    return {"PATH": os.defpath, "HOME": str(spare), **found}


@dataclass(frozen=True)
class Environment:
    """The operator's variables; an empty variable counts as unset."""

    given: Mapping[str, str]
    home: Path

    @property
    def database_url(self) -> str | None:
        return self.given.get(EnvVar.DATABASE_URL) or None

    @property
    def database(self) -> str:
        """The database and server of DATABASE_URL in words, without user and password."""
        try:
            parts = urlsplit(self.database_url or "")
        except ValueError:
            return UNCLEAR
        options = dict(parse_qsl(parts.query))
        servers = (parts.netloc.rpartition("@")[2] or options.get("host", "")).split(",")
        found = [SERVER.fullmatch(server) for server in servers]
        # A password that is not percent-encoded may end up in one of these parts.
        if "@" in parts.path + parts.query + parts.fragment or not all(found):
            return UNCLEAR
        port = options.get("port", "5432")
        shown = [
            one[0] if one[1] or one[0][0] == "/" else f"{one[0]}:{port}" for one in found if one
        ]
        name = parts.path.removeprefix("/") or options.get("dbname") or options.get("database")
        return f"{f'database {name}' if name else 'the default database'} on {','.join(shown)}"

    @property
    def address(self) -> Address:
        host = self.given.get(EnvVar.API_HOST) or "127.0.0.1"
        return Address(host, self._number(EnvVar.API_PORT, API_PORT, at_most=65535))

    @property
    def drain_seconds(self) -> int:
        return self._number(EnvVar.DRAIN_SECONDS, DRAIN_SECONDS, at_most=3600)

    @property
    def heartbeat_file(self) -> Path:
        name = f"worker-heartbeat-{os.getpid()}"  # several workers may share the folder
        return Path(self.given.get(EnvVar.WORKER_HEARTBEAT_FILE) or self.home / name)

    @property
    def needs_key(self) -> bool:
        """Does the API ask for API_KEY?"""
        is_off = self.given.get(EnvVar.API_AUTH, "").lower() == "off"
        return bool(self.api_key) and not is_off

    @property
    def api_key(self) -> str:
        """One that the API takes; empty where none is set."""
        return (self.given.get(EnvVar.API_KEY, "").split() or [""])[0]

    @property
    def is_worker_in_api(self) -> bool:
        return self.given.get(EnvVar.WORKER_MODE, "").lower() == "in-process"

    def for_service(self, database_url: str, variables: Mapping[str, str]) -> dict[str, str]:
        """The variables of a process: the project's, the operator's, and the local stage's own."""
        ours = set(EnvVar)
        # Variables that change how Python starts; and Postgres's own, which mean another server.
        foreign = ("PYTHON", "LD_PRELOAD", *(() if self.database_url else ("PG",)))
        return {
            EnvVar.LOG_FORMAT: "pretty",  # the process writes to a pipe and would choose JSON
            **variables,
            **{
                name: value
                for name, value in self.given.items()
                if (value or name not in ours) and not name.startswith(foreign)
            },
            "PYTHONUNBUFFERED": "1",
            EnvVar.STAGE: LOCAL_STAGE,
            EnvVar.DATABASE_URL: database_url,
            EnvVar.DRAIN_SECONDS: str(self.drain_seconds),
            EnvVar.WORKER_HEARTBEAT_FILE: str(self.heartbeat_file),
        }

    def _number(self, name: EnvVar, default: int, *, at_most: int) -> int:
        value = self.given.get(name) or str(default)
        if not value.isdecimal() or not 0 <= int(value) <= at_most:
            raise OperatorError(f"{name}={value} is not a number from 0 to {at_most}")
        return int(value)
