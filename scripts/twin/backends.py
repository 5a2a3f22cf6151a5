"""moto's own state for one account and region, which its APIs show."""

from dataclasses import dataclass

from moto.applicationautoscaling.models import (
    ApplicationAutoscalingBackend,
    applicationautoscaling_backends,
)
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.ecs.models import EC2ContainerServiceBackend, ecs_backends
from moto.elbv2.models import ELBv2Backend, elbv2_backends
from moto.logs.models import LogsBackend, logs_backends
from moto.rds.models import RDSBackend, rds_backends
from moto.secretsmanager.models import SecretsManagerBackend, secretsmanager_backends
from moto.ssm.models import SimpleSystemManagerBackend, ssm_backends

from scripts.twin.iam.judge import Judge


@dataclass(frozen=True)
class Backends:
    """moto's backends, looked up at each use, because a reset of moto makes new ones. `judge` says
    what the roles of ECS tasks may do; without it nothing runs with a role."""

    account: str
    region: str
    judge: Judge | None = None

    @property
    def ecs(self) -> EC2ContainerServiceBackend:
        return ecs_backends[self.account][self.region]

    @property
    def elbv2(self) -> ELBv2Backend:
        return elbv2_backends[self.account][self.region]

    @property
    def logs(self) -> LogsBackend:
        return logs_backends[self.account][self.region]

    @property
    def cloudwatch(self) -> CloudWatchBackend:
        return cloudwatch_backends[self.account][self.region]

    @property
    def autoscaling(self) -> ApplicationAutoscalingBackend:
        return applicationautoscaling_backends[self.account][self.region]

    @property
    def secretsmanager(self) -> SecretsManagerBackend:
        return secretsmanager_backends[self.account][self.region]

    @property
    def ssm(self) -> SimpleSystemManagerBackend:
        return ssm_backends[self.account][self.region]

    @property
    def rds(self) -> RDSBackend:
        return rds_backends[self.account][self.region]
