"""The roles of an ECS task; `task_rights.py` has their statements."""

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from service.contract import PAYLOADS_PREFIX, RESULTS_PREFIX, ProcessName
from stacks.acknowledge import acknowledge, arn_as_found
from stacks.config.processes import EcsProcess
from stacks.config.stage import Stage
from stacks.data.data_stack import DataStack, bucket_export
from stacks.service.collector import trace_statement
from stacks.service.image import Image
from stacks.service.project_secrets import acknowledge_keys, project_secret_statements
from stacks.service.task_rights import (
    bucket_statements,
    exec_statements,
    execution_statements,
    log_statement,
    password_statements,
    protection_statement,
    queue_statement,
)


class TaskRoles(Construct):
    """The roles of the API or of one worker pool. ECS starts the ECS task with `execution` (image,
    log, secrets); the code in it runs with `task`. `debug` is `task` with the right to a shell, if
    `task` has not.

    Each pool has roles of its own: it writes to its own log alone, and a pool that comes or goes
    changes no other.

    `former` is the task role of releases in which API and workers connected as the database's
    owner. A rollback to one of them needs it; no current task definition uses it. Those releases
    had no other pool than the default one.

    Each role has one managed policy with the statements given here, and one of each domain that
    needs rights (`stacks/domains.py`); the CDK cannot add its own.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        ecs_process: EcsProcess,
        image: Image,
        data: DataStack,
        key: kms.IKey,
        log_group: logs.ILogGroup,
        exec_log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id)
        process = ecs_process.process
        # One path for the roles of all pools, so that one statement gives operators their right to
        # them: a managed policy has 6144 characters at most.
        self._path = stage.names.pools_path if ecs_process.pool else None
        self.policies: list[iam.ManagedPolicy] = []
        self.execution = self._role(
            "Execution",
            [
                *execution_statements(process, image, data, key, log_group),
                *project_secret_statements(self, ecs_process, stage),
            ],
        )
        acknowledge_keys(self, self.policies[0], ecs_process, stage)
        statements = bucket_statements(process, data, key)
        if stage.sqs_queue:
            statements += [queue_statement(self, process, stage)]
        if stage.telemetry_collector:
            statements += [trace_statement()]
        if process is ProcessName.API and stage.has_readable_logs:
            statements += [log_statement(self, stage)]
        if process is ProcessName.WORKER:
            statements += [protection_statement(self, stage)]
        with_shell = exec_statements(stage, key, exec_log_group)
        if stage.enable_exec:
            statements += with_shell
        as_user = [*password_statements(data.database.user_secret, key), *statements]
        self.task = self._role("TaskRole", as_user)
        self._acknowledge(self.policies[-1], process, stage, with_exec=stage.enable_exec)
        self.former: iam.IRole | None = None
        if not ecs_process.pool:
            as_owner = [*password_statements(data.database.owner_secret, key), *statements]
            self.former = self._role("Task", as_owner)
            self._acknowledge(self.policies[-1], process, stage, with_exec=stage.enable_exec)
        # ECS tasks of the stage have no shell. `moor debug` starts a copy that has one, with this
        # role, which nothing else uses.
        self.debug: iam.IRole | None = None
        if process is ProcessName.WORKER and not stage.enable_exec:
            self.debug = self._role("Debug", [*as_user, *with_shell])
            self._acknowledge(self.policies[-1], process, stage, with_exec=True)
        if image.repository_arn:
            acknowledge(
                self.policies[0],
                "ecr:GetAuthorizationToken knows no resource.",
                "AwsSolutions-IAM5[Resource::*]",
            )

    def _acknowledge(
        self, policy: iam.ManagedPolicy, process: ProcessName, stage: Stage, *, with_exec: bool
    ) -> None:
        for prefix in (RESULTS_PREFIX, PAYLOADS_PREFIX):
            acknowledge(
                policy,
                "The objects under one prefix of the stage's bucket.",
                f"AwsSolutions-IAM5[Resource::{bucket_export(stage)}/{prefix}*]",
            )
        if process is ProcessName.API and stage.has_readable_logs:
            for name in stage.log_groups:
                acknowledge(
                    policy,
                    "The streams of one log group of the stage.",
                    f"AwsSolutions-IAM5[Resource::{arn_as_found(self, 'logs')}:log-group:{name}:*]",
                )
        if process is ProcessName.WORKER:
            acknowledge(
                policy,
                "An ECS task's id is made when it starts; the right ends at this cluster.",
                f"AwsSolutions-IAM5[Resource::{arn_as_found(self, 'ecs')}:"
                f"task/{stage.names.cluster}/*]",
            )
        if with_exec or stage.telemetry_collector:
            with_xray = "xray, " if stage.telemetry_collector else ""
            acknowledge(
                policy,
                f"{with_xray}ssmmessages and logs:DescribeLogGroups know no resource.",
                "AwsSolutions-IAM5[Resource::*]",
            )

    @property
    def roles(self) -> list[iam.IRole]:
        return [self.execution, *self.of_code]

    @property
    def of_code(self) -> list[iam.IRole]:
        """The roles that the code of an ECS task runs with: all but the execution role."""
        return [self.task, *filter(None, (self.former, self.debug))]

    def _role(self, id: str, statements: list[iam.PolicyStatement]) -> iam.IRole:
        here = Stack.of(self)
        role = iam.Role(
            self,
            id,
            path=self._path,
            # Only for ECS in this account and region, so that no other account can use the role.
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com").with_conditions(
                {
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {"aws:SourceArn": here.format_arn(service="ecs", resource="*")},
                }
            ),
        )
        self.policies.append(
            iam.ManagedPolicy(
                self, f"{id}Policy", roles=[role], statements=statements, path=self._path
            )
        )
        return role.without_policy_updates()
