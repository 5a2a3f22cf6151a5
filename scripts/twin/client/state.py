"""The state file of the twin, in which its daemon writes how to reach it."""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from scripts.host.pids import birth
from scripts.release import release

ACCOUNT = "123456789012"
REGION = "us-east-1"
# The length of a minute: metrics, alarms and scaling are twelve times as fast as on AWS.
MINUTE_SECONDS = 5


@dataclass(frozen=True)
class Twin:
    """One twin: the daemon's addresses, and the folders it works in."""

    home: Path  # .moorage
    account: str
    region: str
    endpoint: str  # of every AWS API: http://localhost:PORT
    access_key: str  # random; it allows everything in this twin
    secret_key: str = field(repr=False)
    url: str  # of the load balancer
    # The ECS agent's: metadata and protection of ECS tasks. Its path contains a secret.
    agent_url: str = field(repr=False)
    images: Path  # one folder for each image, named by its tag
    python: Path  # runs as `python` in a container
    postgres_port: int  # on this machine; the master user's password is in Secrets Manager
    release: str  # of Moorage, whose code the daemon runs
    pid: int
    started: str  # distinguishes it from a later process with the same id

    @classmethod
    def load(cls, home: Path) -> "Twin | None":
        """The twin whose data is in `home`, or None where no daemon runs."""
        try:
            found = json.loads(state_file(home).read_text("utf-8"))
            values: dict[str, Any] = {
                each.name: Path(found[each.name]) if each.type is Path else found[each.name]
                for each in fields(cls)
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        twin = cls(**values)
        return twin if birth(twin.pid) == twin.started else None

    def save(self) -> None:
        """Write the state file for the commands, atomically."""
        file = state_file(self.home)
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(json.dumps(asdict(self), default=str, indent=2) + "\n")
        os.replace(new, file)

    @property
    def log(self) -> Path:
        return folder(self.home) / "twin.log"

    @property
    def is_dev(self) -> bool:
        """Does a container run the code of the checkout, and reload it when it is saved?"""
        return dev_file(self.home).exists()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point `aws`, `cdk` and boto3 at the twin only."""
        return {
            # By name: moto would read the first part of an IP address as a bucket's name.
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DOCKER": str(docker_file(self.home)),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }


def runs_another_release(home: Path) -> bool:
    """Does a daemon run there with the code of another release of Moorage?"""
    try:
        found = json.loads(state_file(home).read_text("utf-8"))
        is_running: bool = birth(found["pid"]) == found["started"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
    return is_running and bool(found.get("release") != release())


def folder(home: Path) -> Path:
    """The folder of the twin's files, without the database."""
    return home / "twin"


def state_file(home: Path) -> Path:
    return folder(home) / "state.json"


def dev_file(home: Path) -> Path:
    """It exists while `moor dev` runs."""
    return folder(home) / "reloads"


def docker_file(home: Path) -> Path:
    """The program that the CDK runs as `docker`."""
    return folder(home) / "docker"
