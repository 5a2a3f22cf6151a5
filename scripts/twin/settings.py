"""Where the twin of this checkout is and how to reach it: what its daemon wrote down."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from scripts.twin.pids import birth

ACCOUNT = "123456789012"
REGION = "us-east-1"
# One minute of CloudWatch: metrics, alarms and scaling are twelve times as quick as on AWS.
MINUTE_SECONDS = 5


@dataclass(frozen=True)
class Twin:
    """One twin: the daemon's addresses, and the folders it works in."""

    home: Path  # .moorage
    account: str
    region: str
    endpoint: str  # of every AWS API: http://localhost:PORT
    url: str  # of the load balancer
    agent_url: str  # of the ECS agent: metadata of ECS tasks and their protection
    images: Path  # one folder for each image, named by its tag
    python: Path  # what a container's `python` is
    postgres_port: int  # on this machine; the master user's password is in Secrets Manager
    pid: int
    started: str  # what tells it from another process that has its number later

    @classmethod
    def load(cls, home: Path) -> "Twin | None":
        """The twin whose data is in `home`, or None where no daemon runs."""
        try:
            found = json.loads(state_file(home).read_text("utf-8"))
            values: dict[str, Any] = {
                field.name: Path(found[field.name]) if field.type is Path else found[field.name]
                for field in fields(cls)
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        twin = cls(**values)
        return twin if birth(twin.pid) == twin.started else None

    def save(self) -> None:
        """Write it down for the commands; all of it at once or nothing."""
        file = state_file(self.home)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), default=str, indent=2) + "\n", "utf-8")
        os.replace(new, file)

    @property
    def log(self) -> Path:
        return folder(self.home) / "twin.log"

    @property
    def environment(self) -> dict[str, str]:
        """What points `aws`, `cdk` and boto3 at the twin, and at nothing else."""
        return {
            # by name: moto takes the first part of an address for the name of a bucket
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "twin",
            "AWS_SECRET_ACCESS_KEY": "twin",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DOCKER": str(docker_file(self.home)),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "NO_PROXY": "localhost,127.0.0.1",
            "no_proxy": "localhost,127.0.0.1",
        }


def folder(home: Path) -> Path:
    """Everything of the twin but the database."""
    return home / "twin"


def state_file(home: Path) -> Path:
    return folder(home) / "state.json"


def docker_file(home: Path) -> Path:
    """What the CDK takes for `docker`."""
    return folder(home) / "docker"
