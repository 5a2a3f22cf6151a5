"""One process of the image as an ECS task definition."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct

from service import contract
from service.contract import ProcessName
from stacks.acknowledge import acknowledge
from stacks.config.processes import EcsProcess
from stacks.config.stage import Stage
from stacks.data.data_stack import DataStack
from stacks.service.collector import add_collector
from stacks.service.container_env import environment, secrets
from stacks.service.image import Image
from stacks.service.roles import TaskRoles

VOLUME = "writable"
# While a container starts, its health check does not count.
START_SECONDS = 60


class TaskDefinition(Construct):
    """The task definition of the API or of a worker pool; its process starts after `migrate`.

    If a migration fails, the process does not start, and the deployment's circuit breaker rolls
    back. Containers run as a user without rights, with a read-only root. Only a stage with exec has
    a writable root, because the agent of exec writes to it
    (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html).
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        ecs_process: EcsProcess,
        stage: Stage,
        image: Image,
        roles: TaskRoles,
        data: DataStack,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id)
        self.ecs_process, self.stage, self.image, self.data = ecs_process, stage, image, data
        process = ecs_process.process
        self.log_group, self.roles = log_group, roles
        self.variables_of_domains: dict[str, str] = {}  # the file that sets one, by its name
        self.task_definition = ecs.FargateTaskDefinition(
            self,
            "TaskDefinition",
            family=f"{stage.names.prefix}-{ecs_process.name}",
            cpu=ecs_process.cpu,
            memory_limit_mib=ecs_process.memory_mib,
            runtime_platform=image.platform,
            execution_role=roles.execution,
            task_role=roles.task,
            volumes=[ecs.Volume(name=VOLUME)],
        )
        # Old revisions stay active, because a rollback needs them.
        self.task_definition.node.default_child.apply_removal_policy(  # type: ignore[union-attr]
            RemovalPolicy.RETAIN
        )
        acknowledge(
            self.task_definition,
            "The rule minds any plain variable. Ours hold names, sizes and addresses; credentials "
            "come from Secrets Manager, which test_only_secrets_carry_credentials holds us to.",
            "AwsSolutions-ECS2",
        )
        acknowledge(
            self.task_definition,
            "task_rights.py allows the pull.",
            "Annotation::@aws-cdk/aws-ecs:ecrImageRequiresPolicy",
        )
        migrate = self._add(ProcessName.MIGRATE, essential=False)
        self.container = self._add(
            process,
            essential=True,
            health_check=_worker_health_check() if process is ProcessName.WORKER else None,
            port_mappings=(
                [ecs.PortMapping(container_port=contract.API_PORT, name=process)]
                if process is ProcessName.API
                else None
            ),
        )
        self.container.add_container_dependencies(
            ecs.ContainerDependency(
                container=migrate, condition=ecs.ContainerDependencyCondition.SUCCESS
            )
        )
        if stage.telemetry_collector:
            add_collector(self.task_definition, log_group=log_group, user=self.container)

    def _add(
        self,
        process: ProcessName,
        *,
        essential: bool,
        health_check: ecs.HealthCheck | None = None,
        port_mappings: list[ecs.PortMapping] | None = None,
    ) -> ecs.ContainerDefinition:
        stage, data = self.stage, self.data
        container = self.task_definition.add_container(
            process,
            container_name=process,
            image=self.image.container_image,
            command=[process],
            essential=essential,
            environment=environment(
                process,
                self.ecs_process,
                stage=stage,
                database=data.database,
                bucket_name=data.bucket.bucket_name,
            ),
            secrets=secrets(self, process, self.ecs_process, data),
            logging=ecs.LogDriver.aws_logs(
                log_group=self.log_group,
                # A pool's own name, by which `moor logs` tells whose line it is.
                stream_prefix=process if process is ProcessName.MIGRATE else self.ecs_process.name,
                mode=ecs.AwsLogDriverMode.BLOCKING,  # non-blocking mode may lose lines
            ),
            health_check=health_check,
            port_mappings=port_mappings,
            stop_timeout=Duration.seconds(contract.STOP_TIMEOUT_SECONDS),
            user=contract.USER,
            privileged=False,
            readonly_root_filesystem=not stage.enable_exec,
            linux_parameters=self._init_process(process) if stage.enable_exec else None,
        )
        container.add_mount_points(
            ecs.MountPoint(
                container_path=contract.WRITABLE_PATH, source_volume=VOLUME, read_only=False
            )
        )
        return container

    def _init_process(self, process: ProcessName) -> ecs.LinuxParameters:
        # An init process reaps the processes that a session leaves behind.
        return ecs.LinuxParameters(self, f"{process}Init", init_process_enabled=True)


def _worker_health_check() -> ecs.HealthCheck:
    """Checks the age of the heartbeat; after three failures ECS replaces the ECS task."""
    return ecs.HealthCheck(
        command=["CMD", "python", "-m", "service", ProcessName.HEALTHCHECK],
        interval=Duration.seconds(15),
        timeout=Duration.seconds(10),
        retries=3,
        start_period=Duration.seconds(START_SECONDS),
    )
