"""What the twin has noted about the rights of roles, and the switch that lets everything through.

The notes are a file with a JSON object on each line; a new twin begins a new one.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scripts.twin.client.state import folder

ALLOWED, REFUSED, NOT_JUDGED = "allowed", "refused", "not judged"


@dataclass(frozen=True)
class Entry:
    """A role has asked for a right: at this time (since the epoch) for the first time, or, where it
    was refused, again after a minute or more."""

    at: float
    role: str
    action: str
    resource: str  # "?" where it cannot be told from the call
    result: str
    why: str  # the statement that decided, AWS's reason for a refusal, or what is not known
    via: str = ""  # the service that asks for a key in its caller's name
    session: str = ""  # an ECS task's id

    @property
    def statement(self) -> dict[str, object]:
        """The statement that gives this right and no other."""
        found: dict[str, object] = {
            "Effect": "Allow",
            "Action": self.action,
            "Resource": "*" if self.resource == "?" else self.resource,
        }
        if self.via:
            found["Condition"] = {"StringEquals": {"kms:ViaService": self.via}}
        return found

    @property
    def advice(self) -> str:
        """What to do about a refusal."""
        if "explicit deny" in self.why:
            return "a statement denies it"
        return f"to allow it, add {json.dumps(self.statement)}"

    def __str__(self) -> str:
        where = f" on {self.resource}" if self.resource != "?" else ""
        return f"IAM refused {self.role}: {self.action}{where} ({self.why}); {self.advice}"


def ledger_file(home: Path) -> Path:
    return folder(home) / "permissions.jsonl"


def read_entries(home: Path) -> list[Entry]:
    """In the order of time; empty where no twin has run."""
    try:
        lines = ledger_file(home).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [Entry(**json.loads(line)) for line in lines]


def newest_refusals(home: Path, since: datetime) -> list[str]:
    """The refusals since then, each right of a role once."""
    found = {
        (each.role, each.action): str(each)
        for each in read_entries(home)
        if each.result == REFUSED and each.at >= since.timestamp()
    }
    return list(found.values())


def is_off(home: Path) -> bool:
    """Are refused calls let through? They are noted all the same."""
    return _switch(home).exists()


def switch(home: Path, *, is_on: bool) -> None:
    """Let the twin refuse what roles may not do, or let it through, from now on."""
    if is_on:
        _switch(home).unlink(missing_ok=True)
    else:
        folder(home).mkdir(parents=True, exist_ok=True)
        _switch(home).touch()


def _switch(home: Path) -> Path:
    return folder(home) / "iam-off"
