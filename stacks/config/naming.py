"""The names that people type, and those of stacks and outputs. Standard library only."""

import re
from dataclasses import dataclass
from enum import StrEnum

from service.contract import ProcessName


class Output(StrEnum):
    """Keys of a stage's stack outputs, by which operator commands find everything else."""

    URL = "Url"
    CLUSTER = "Cluster"
    API_SERVICE = "ApiService"
    WORKER_SERVICE = "WorkerService"
    API_LOG_GROUP = "ApiLogGroup"
    WORKER_LOG_GROUP = "WorkerLogGroup"
    API_TASK_DEFINITION = "ApiTaskDefinition"
    WORKER_TASK_DEFINITION = "WorkerTaskDefinition"
    DEBUG_ROLE = "DebugRole"  # only in stages without exec: the role of `moor debug worker`
    DATABASE_ENDPOINT = "DatabaseEndpoint"
    DATABASE_SECRET = "DatabaseSecret"  # noqa: S105 - an output's key
    DATABASE_USER_SECRET = "DatabaseUserSecret"  # noqa: S105 - an output's key
    BUCKET = "Bucket"
    API_KEY_SECRET = "ApiKeySecret"  # noqa: S105 - an output's key
    UI_SECRET = "UiSecret"  # noqa: S105 - an output's key
    ALARM_TOPIC = "AlarmTopic"
    DASHBOARD = "Dashboard"
    TRANSPORT = "Transport"
    SCALE_COMMAND = "ScaleCommand"
    LOGS_COMMAND = "LogsCommand"
    EXEC_COMMAND = "ExecCommand"
    READ_POLICY = "ReadPolicy"  # this and the next two only in stages with operator_policies
    OPERATE_POLICY = "OperatePolicy"
    DEBUG_POLICY = "DebugPolicy"
    WORKER_POOLS = "WorkerPools"  # the names of all pools but the default one, if there are any


# The outputs that each further pool has too, under its own name: `WorkerReportsService`.
OF_POOL = (
    Output.WORKER_SERVICE, Output.WORKER_LOG_GROUP, Output.WORKER_TASK_DEFINITION,
    Output.DEBUG_ROLE,
)  # fmt: skip


def pool_output(output: Output, pool: str) -> str:
    """The key of one of `OF_POOL` for a pool; the empty name is the default pool's."""
    assert output in OF_POOL, output
    return f"Worker{output_part(pool)}{output.removeprefix('Worker')}" if pool else output


def output_part(pool: str) -> str:
    """A pool's name within an output's key, which holds letters and digits only."""
    return "".join(part.capitalize() for part in pool.split("-"))


@dataclass(frozen=True)
class Names:
    """The names of one deployed stage.

    Only these are physical names, because people type them into `aws ecs` and `aws logs`
    (`database.py` says why the database has one). CloudFormation cannot replace a named resource in
    place, so everything else has a generated name and is found by `Output`.
    """

    app: str
    stage: str

    @property
    def prefix(self) -> str:
        return f"{self.app}-{self.stage}"

    @property
    def network_stack(self) -> str:
        return f"{self.prefix}-network"

    @property
    def data_stack(self) -> str:
        return f"{self.prefix}-data"

    @property
    def service_stack(self) -> str:
        return f"{self.prefix}-service"

    @property
    def delivery_stack(self) -> str:
        """The stack of the role by which a pipeline deploys the stage, if there is one."""
        return f"{self.prefix}-delivery"

    @property
    def cluster(self) -> str:
        return f"{self.prefix}-cluster"

    @property
    def database(self) -> str:
        return self.prefix

    @property
    def database_log_group(self) -> str:
        """The log group that RDS chooses."""
        return f"/aws/rds/cluster/{self.database}/postgresql"

    @property
    def dashboard(self) -> str:
        return self.prefix

    @property
    def exec_log_group(self) -> str:
        """The log group of the sessions of `aws ecs execute-command`."""
        return f"/ecs/{self.prefix}-exec"

    def secret(self, name: str) -> str:
        """The name in Secrets Manager of a secret of the project."""
        return f"{self.app}/{self.stage}/{name}"

    @property
    def pools_path(self) -> str:
        """The IAM path of the roles and policies of all worker pools but the default one."""
        return f"/{self.prefix}-pools/"

    def service(self, process: str) -> str:
        """The ECS service of a process (`api`, `worker`, `worker-reports`)."""
        return f"{self.prefix}-{process}-service"

    def log_group(self, process: str) -> str:
        """The log group of the process. `migrate` writes to those of API and workers, with a stream
        prefix of its own."""
        return f"/ecs/{self.prefix}-{process}"

    def scale_command(self, process: ProcessName) -> str:
        return (
            f"aws ecs update-service --cluster {self.cluster} --service {self.service(process)} "
            "--desired-count 3"
        )

    def logs_command(self, process: ProcessName) -> str:
        return f"aws logs tail {self.log_group(process)} --follow"

    def exec_command(self, process: ProcessName) -> str:
        newest = (
            f"$(aws ecs list-tasks --cluster {self.cluster} --service-name {self.service(process)} "
            "--query 'taskArns[0]' --output text)"
        )
        return (
            f"aws ecs execute-command --cluster {self.cluster} --task {newest} "
            f"--container {process} --interactive --command /bin/sh"
        )


def runbook_section(id: str) -> str:
    """The runbook's anchor for an alarm or event: `oldest-job-age` for `OldestJobAge`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", id).lower()
