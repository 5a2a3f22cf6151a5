"""Where `moor secrets` reads and writes: AWS for a deployed stage, a file for the local one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from scripts.aws import Aws, connect
from scripts.errors import NotDeployedError
from scripts.host.local_secrets import LocalSecrets
from scripts.secrets import writing
from scripts.secrets.kept import Kept, State, look, own_names
from scripts.target import find_stage, find_target
from scripts.twin.client.secrets import fill, forget
from service.contract import LOCAL_STAGE
from stacks.config.secrets import Place, Secret
from stacks.config.stage import Stage

BOTH = "api, worker"
THIS_TERMINAL = "a variable of this terminal"


@dataclass(frozen=True)
class Row:
    """One secret: what stages.toml says of it, and what is kept."""

    name: str
    processes: str  # which are given it; empty where stages.toml does not list it
    place: str
    state: State
    changed: datetime | None = None

    @property
    def is_right(self) -> bool:
        return bool(self.processes) and self.state in (State.SET, State.UNKNOWN)


class Store(Protocol):
    """The secrets of one stage."""

    stage: Stage

    def rows(self) -> list[Row]: ...

    def put(self, name: str, value: str) -> None: ...

    def delete(self, name: str) -> None: ...


def find_store(stage: str, home: Path, given: Mapping[str, str]) -> Store:
    if stage == LOCAL_STAGE:
        return LocalStore(home, given)
    return AwsStore(connect(stage))


class AwsStore:
    """Secrets Manager and SSM, in the account of the caller."""

    def __init__(self, aws: Aws) -> None:
        self._aws, self.stage = aws, aws.target.stage

    def rows(self) -> list[Row]:
        names = self.stage.names
        found = _named(self.stage.secrets, lambda secret: look(self._aws, secret.place(names)),
                       lambda secret: str(secret.place(names)))  # fmt: skip
        own = {secret.name for secret in self.stage.secrets if secret.is_own}
        others = own_names(self._aws).items()
        return found + [
            Row(name, "", names.secret(name), kept.state, kept.changed)
            for name, kept in others
            if name not in own and kept.state is not State.DELETED
        ]

    def put(self, name: str, value: str) -> None:
        writing.put(self._aws, name, value)

    def delete(self, name: str) -> None:
        writing.delete(self._aws, name)


class LocalStore:
    """The file on this machine; the twin gets a new value at once, if it runs."""

    def __init__(self, home: Path, given: Mapping[str, str]) -> None:
        self._home, self._given = home, given
        self._secrets = LocalSecrets(home, given)
        self.stage = find_stage(LOCAL_STAGE)

    def rows(self) -> list[Row]:
        kept = self._secrets.kept()

        def place(secret: Secret) -> str:
            return THIS_TERMINAL if self._given.get(secret.name) else str(self._secrets.file)

        def state(secret: Secret) -> Kept:
            has_value = self._given.get(secret.name) or secret.name in kept
            return Kept(State.SET if has_value else State.MISSING)

        listed = {secret.name for secret in self.stage.secrets}
        return _named(self.stage.secrets, state, place) + [
            Row(name, "", str(self._secrets.file), State.SET) for name in kept if name not in listed
        ]

    def put(self, name: str, value: str) -> None:
        self._secrets.put(name, value)
        if aws := self._twin():
            fill(aws.call, self.stage, {name: value})

    def delete(self, name: str) -> None:
        self._secrets.delete(name)
        if aws := self._twin():
            for place in self._places(name):
                forget(aws.call, place)

    def _places(self, name: str) -> set[Place]:
        return {each.place(self.stage.names) for each in self.stage.secrets if each.name == name}

    def _twin(self) -> Aws | None:
        try:
            return Aws(find_target(LOCAL_STAGE, home=self._home))
        except NotDeployedError:
            return None


def _named(
    secrets: Iterable[Secret], state: Callable[[Secret], Kept], place: Callable[[Secret], str]
) -> list[Row]:
    rows = []
    for secret in secrets:
        kept = state(secret)
        processes = secret.given_to or BOTH
        rows.append(Row(secret.name, processes, place(secret), kept.state, kept.changed))
    return rows
