"""The stage that a command works on, and where it is deployed."""

from dataclasses import dataclass, field
from pathlib import Path

from scripts.errors import NotDeployedError, OperatorError
from service.contract import LOCAL_STAGE
from stacks.config.naming import Names
from stacks.config.read_stage import read_stage
from stacks.config.stage import Stage
from stacks.config.values import ConfigError

HOME = Path(__file__).parent.parent / ".moorage"  # the local data


@dataclass(frozen=True)
class Target:
    """A stage as configured; `endpoint` is the URL of the local twin, or None on AWS."""

    stage: Stage
    endpoint: str | None = None
    region: str | None = None  # None: the region of the credentials
    key: tuple[str, str] | None = field(default=None, repr=False)  # the local twin's id and secret
    home: Path | None = None  # where the local twin keeps its files

    @property
    def names(self) -> Names:
        return self.stage.names

    @property
    def is_local(self) -> bool:
        return self.endpoint is not None

    def command(self, words: str) -> str:
        """The `moor` command as an operator types it for this stage."""
        stage = self.stage.stage
        return f"moor {words}" + ("" if stage == LOCAL_STAGE else f" --stage {stage}")

    @property
    def deploy_command(self) -> str:
        """The command that deploys the code as it is now to this stage."""
        return "moor up" if self.is_local else "cdk deploy"

    def __str__(self) -> str:
        return f"stage {self.stage.stage}"


def find_stage(stage: str) -> Stage:
    """A stage's settings by name. Raises `OperatorError` for a wrong name or configuration."""
    try:
        return read_stage(stage)
    except ConfigError as error:
        raise OperatorError(str(error), "Mend `stages.toml`, or check `--stage`.") from None


def find_target(stage: str, *, home: Path = HOME) -> Target:
    """The target for the stage of this name. Raises `OperatorError` for a wrong name or
    configuration, and `NotDeployedError` where the local twin does not run."""
    found = find_stage(stage)
    if stage != LOCAL_STAGE:
        return Target(found, region=found.region or None)
    from scripts.twin.client.state import Twin

    twin = Twin.load(home)
    if twin is None:
        raise NotDeployedError("the local twin does not run", "`moor up` starts it.")
    key = twin.access_key, twin.secret_key
    return Target(found, endpoint=twin.endpoint, region=twin.region, key=key, home=home)
