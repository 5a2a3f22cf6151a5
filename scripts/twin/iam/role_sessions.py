"""The sessions of roles: credentials that end, of ECS tasks and of callers of STS.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
"""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.sts.models import AssumedRole, sts_backends

LIFE = timedelta(hours=6)  # as ECS gives them
AWS = "aws"  # the partition


@dataclass(frozen=True)
class Session:
    """Credentials of a role. `policy` is the session policy, which limits them further."""

    role_arn: str
    arn: str
    key: str
    policy: str | None = None
    credentials: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def account(self) -> str:
        return self.role_arn.split(":")[4]

    @property
    def name(self) -> str:
        """The session's own name, an ECS task's id."""
        return self.arn.rpartition("/")[2]


class RoleSessions:
    """Gives ECS tasks their credentials, and finds sessions by their access keys."""

    def __init__(self, life: timedelta = LIFE) -> None:
        self._life = life
        self._lock = threading.Lock()
        self._of_tasks: dict[tuple[str, str], AssumedRole] = {}

    def of_task(self, role_arn: str, task_id: str) -> Session:
        """The session of an ECS task, with new credentials well before the old ones end."""
        with self._lock:
            found = self._of_tasks.get((role_arn, task_id))
            if found is None or found.expiration.replace(tzinfo=None) - now() < self._life / 4:
                sts = sts_backends[role_arn.split(":")[4]][AWS]
                found = sts.assume_role(
                    region_name=AWS, role_session_name=task_id, role_arn=role_arn, policy="",
                    duration=int(self._life.total_seconds()), external_id="",
                )  # fmt: skip
                self._of_tasks[role_arn, task_id] = found
        return _session(found)

    def end_task(self, task_id: str) -> None:
        """Forget the credentials of an ECS task that has stopped."""
        with self._lock:
            for role_arn, id in [each for each in self._of_tasks if each[1] == task_id]:
                del self._of_tasks[role_arn, id]
                account = role_arn.split(":")[4]
                sts = sts_backends[account][AWS]
                iam: Any = iam_backends[account][AWS]
                for each in [each for each in sts.assumed_roles if each.session_name == task_id]:
                    with suppress(ValueError):
                        sts.assumed_roles.remove(each)
                    iam.access_keys.pop(each.access_key_id, None)

    def is_of_task(self, session: Session) -> bool:
        """Was it made for an ECS task that runs?"""
        return (session.role_arn, session.name) in self._of_tasks

    def find(self, key: str) -> Session | None:
        """The session with this access key; None for a key that is no role's."""
        if not key.startswith("ASIA"):
            return None
        for account in list(sts_backends.values()):
            for backend in list(account.values()):
                if (found := backend.get_assumed_role_from_access_key(key)) is not None:
                    return _session(found)
        return None


def now() -> Any:
    """UTC without a time zone, as moto has it."""
    return utcnow().replace(tzinfo=None)


def _session(made: AssumedRole) -> Session:
    return Session(
        made.role_arn, made.arn, made.access_key_id, made.policy or None,
        {
            "RoleArn": made.role_arn,
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "Token": made.session_token,
            "Expiration": made.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )  # fmt: skip
