"""The two roles of an ECS task: its code has `task`, and ECS starts it with `execution`.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security-iam-roles.html
"""

from dataclasses import dataclass
from typing import Any

from scripts.twin.backends import Backends
from scripts.twin.ecs.container import CannotStartError
from scripts.twin.iam.call import Call
from scripts.twin.iam.denial import code_and_text, sentence
from scripts.twin.iam.evaluation import Right
from scripts.twin.iam.judge import Judge
from scripts.twin.iam.keys import DECRYPT, rights_to
from scripts.twin.iam.role_sessions import Session

CANNOT_ASSUME = (
    "ECS was unable to assume the role '{}' that was provided for this task. Please verify that "
    "the role being passed has the proper trust relationship and permissions and that your IAM "
    "user has permissions to pass this role."
)
ECS_TASKS = "ecs-tasks.amazonaws.com"


@dataclass(frozen=True)
class TaskRoles:
    """The roles of moto's `record` of an ECS task; None where the task definition names none.
    Without an execution role nothing is judged that ECS does itself."""

    judge: Judge
    record: Any
    task: str | None
    execution: str | None

    @classmethod
    def of(cls, record: Any, backends: Backends) -> "TaskRoles":
        assert backends.judge is not None
        definition = backends.ecs.describe_task_definition(record.task_definition_arn)
        given = record.overrides or {}
        return cls(
            backends.judge,
            record,
            given.get("taskRoleArn") or getattr(definition, "task_role_arn", None),
            given.get("executionRoleArn") or getattr(definition, "execution_role_arn", None),
        )

    @property
    def session(self) -> Session | None:
        """The session that the code of the ECS task has."""
        return self._session(self.task) if self.task else None

    def check_trust(self) -> None:
        """Raises `CannotStartError` for a role that does not let ECS assume it."""
        source = self.record.task_arn.partition(":task/")[0] + ":*"
        for arn in filter(None, (self.execution, self.task)):
            if not self.judge.may_be_assumed(arn, ECS_TASKS, source):
                raise CannotStartError(CANNOT_ASSUME.format(arn))

    def refusal(self, action: str, resource: str) -> str | None:
        """In AWS's words why the execution role may not; None where it may."""
        if self.execution is None:
            return None
        session, right = self._session(self.execution), Right(action, resource)
        verdict = self.judge.refusal(session, right)
        return None if verdict is None else sentence(session.arn, right, verdict)

    def secret_refusal(self, arn: str, key: str | None) -> str | None:
        """The same for reading a secret that is encrypted with this key."""
        if refused := self.refusal("secretsmanager:GetSecretValue", arn):
            return refused
        if self.execution is None:
            return None
        session, (region, account) = self._session(self.execution), arn.split(":")[3:5]
        service = "secretsmanager"
        call = Call(service, service, "GetSecretValue", {}, {}, account, region)
        for right in rights_to(key, [DECRYPT], call):
            if verdict := self.judge.refusal(session, right):
                return code_and_text(
                    session.arn, right, verdict, prefix=service, named=arn, is_json=True
                )[1]
        return None

    def _session(self, role_arn: str) -> Session:
        return self.judge.sessions.of_task(role_arn, self.record.id)
