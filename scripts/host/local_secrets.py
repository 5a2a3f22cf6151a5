"""The values of the project's own secrets on this machine: a file that only this user may read.

They stay when the local twin goes, and `make clean` deletes them with the rest of `.moorage`.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from scripts.errors import OperatorError
from scripts.host.postgres_user import make_private
from service.contract import LOCAL_STAGE, ProcessName
from stacks.config.secrets import secrets_of
from stacks.config.stage import Stage


class LocalSecrets:
    """`home` is `.moorage`; `given` the operator's variables, which count more than what is kept
    here, as they do for other variables."""

    def __init__(self, home: Path, given: Mapping[str, str]) -> None:
        self.home, self.file = home, home / "secrets.json"
        self._given = given

    def kept(self) -> dict[str, str]:
        """The values in the file, by variable. Raises `OperatorError` for a file that is broken."""
        try:
            found: dict[str, str] = json.loads(self.file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            # Not `from error`: it holds the text.
            raise OperatorError(
                f"{self.file} is no JSON", "Delete it, and `moor secrets set` each name again."
            ) from None
        return found

    def put(self, name: str, value: str) -> None:
        self._write(self.kept() | {name: value})

    def delete(self, name: str) -> None:
        """Forget the value; no error where there is none."""
        self._write({key: value for key, value in self.kept().items() if key != name})

    def values(
        self, stage: Stage, process: ProcessName | None = None, pool: str = ""
    ) -> dict[str, str]:
        """The secrets that the process is given; without one, those of the stage.

        Raises `OperatorError` with the secrets that have no value, because on AWS no ECS task
        starts without them.
        """
        named = (
            secrets_of(stage.secrets, process, pool)
            if process
            else {each.name: each for each in stage.secrets}
        )
        known = self.kept() | {key: value for key, value in self._given.items() if value}
        if missing := [name for name in named if name not in known]:
            words = ", ".join(missing)
            raise OperatorError(
                f"stage {LOCAL_STAGE} has no value for {words}",
                f"`moor secrets set {missing[0]}` asks for one and keeps it on this machine; so "
                "does a variable of that name in this terminal, for this once.",
            )
        return {name: known[name] for name in named}

    def _write(self, values: Mapping[str, str]) -> None:
        make_private(self.home)
        new = self.file.with_suffix(".new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as opened:
            json.dump(values, opened, indent=1)
        new.replace(self.file)
