"""A process of the stage with all that it runs on: log, roles, task definition, ECS service."""

from dataclasses import dataclass

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.config.processes import EcsProcess
from stacks.config.stage import Stage
from stacks.data.data_stack import DataStack
from stacks.network.vpc import Network
from stacks.service.ecs_service import EcsService
from stacks.service.image import Image
from stacks.service.roles import TaskRoles
from stacks.service.task_definition import TaskDefinition
from stacks.stage_stack import log_group


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all processes of a stage share."""

    stage: Stage
    network: Network
    data: DataStack
    key: kms.IKey
    image: Image
    cluster: ecs.ICluster
    exec_log: logs.ILogGroup


@dataclass(frozen=True)
class Process:
    """The constructs of one process; `scope` is where what belongs to it is added."""

    ecs_process: EcsProcess
    scope: Construct
    definition: TaskDefinition
    ecs: EcsService

    @property
    def arn(self) -> str:
        """The ARN of the task definition."""
        return self.definition.task_definition.task_definition_arn


def add_process(scope: Construct, ecs_process: EcsProcess, shared: Surroundings) -> Process:
    """Add a process. Those of API and default pool stand in the stack itself, where the first
    release put them; each other pool has a scope of its own."""
    name = ecs_process.process.capitalize()
    log = log_group(
        scope,
        f"{name}Log",
        stage=shared.stage,
        key=shared.key,
        name=shared.stage.names.log_group(ecs_process.name),
    )
    roles = TaskRoles(
        scope,
        f"{name}Roles",
        stage=shared.stage,
        ecs_process=ecs_process,
        image=shared.image,
        data=shared.data,
        key=shared.key,
        log_group=log,
        exec_log_group=shared.exec_log,
    )
    definition = TaskDefinition(
        scope,
        name,
        ecs_process=ecs_process,
        stage=shared.stage,
        image=shared.image,
        roles=roles,
        data=shared.data,
        log_group=log,
    )
    service = EcsService(
        scope,
        f"{name}Service",
        process=definition,
        stage=shared.stage,
        cluster=shared.cluster,
        network=shared.network,
        data=shared.data,
    )
    return Process(ecs_process, scope, definition, service)
