"""A process that ECS keeps running, and what its ECS tasks may reach."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from service import contract
from service.contract import ProcessName
from stacks.config.processes import WorkerPool
from stacks.config.stage import MAXIMUM_PERCENT, Stage
from stacks.data import database
from stacks.data.data_stack import DataStack
from stacks.network.vpc import Network
from stacks.service.task_definition import TaskDefinition

# How long an ECS task of the API may fail health checks after its start, while it migrates.
GRACE_SECONDS = 120
HTTPS = ec2.Port.tcp(contract.HTTPS_PORT)


class EcsService(Construct):
    """An ECS service that is replaced without downtime and rolled back when a deployment fails.

    Without a `desired_count` the count is the autoscaler's: a deploy changes the bounds and never
    the count, so a release in a busy hour does not shrink the fleet.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        process: TaskDefinition,
        stage: Stage,
        cluster: ecs.ICluster,
        network: Network,
        data: DataStack,
    ) -> None:
        super().__init__(scope, id)
        self.process = process
        ecs_process = process.ecs_process
        spot_percent = ecs_process.spot_percent if isinstance(ecs_process, WorkerPool) else 0
        self.security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=network.vpc,
            description=f"ECS tasks of {stage.names.service(ecs_process.name)}",
            allow_all_outbound=False,
        )
        is_api = ecs_process.process is ProcessName.API
        grace = Duration.seconds(GRACE_SECONDS) if is_api else None
        self.service = ecs.FargateService(
            self,
            "Service",
            service_name=stage.names.service(ecs_process.name),
            cluster=cluster,
            task_definition=process.task_definition,
            desired_count=ecs_process.desired_count,
            min_healthy_percent=100,
            max_healthy_percent=MAXIMUM_PERCENT,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            vpc_subnets=network.task_subnets,
            # For outgoing connections where there is no gateway; nothing can connect to it.
            assign_public_ip=stage.egress == "public",
            security_groups=[self.security_group],
            enable_execute_command=stage.enable_exec,
            platform_version=ecs.FargatePlatformVersion.LATEST,
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
            health_check_grace_period=grace,
            capacity_provider_strategies=_capacity(stage, spot_percent, ecs_process.min_count),
        )
        if not is_api:
            # The deploy does not wait for old workers that drain; they do so in the background.
            self.service.node.default_child.add_property_override(  # type: ignore[union-attr]
                "DeploymentConfiguration.EarlySuccessCriteria",
                {"Enable": True, "HealthyPercent": 100, "SourceServiceRevisionCleanup": "DEFERRED"},
            )
        self._allow_outgoing(ecs_process.process, stage, network, data)
        # The first ECS task needs its rights and its security group rules when it starts.
        self.service.node.add_dependency(process.roles, self.security_group)

    def roll_back_on(self, alarms: list[cloudwatch.Alarm]) -> None:
        """Roll a deployment back when one of these alarms rings before it has ended.

        ECS still watches them for a while after the last ECS task is replaced. It computes that
        time from the slowest alarm, and the deployment takes that much longer. An alarm that rings
        when the deployment begins is ignored.
        """
        self.service.enable_deployment_alarms(
            [alarm.alarm_name for alarm in alarms], behavior=ecs.AlarmBehavior.ROLLBACK_ON_ALARM
        )

    def _allow_outgoing(
        self, process: ProcessName, stage: Stage, network: Network, data: DataStack
    ) -> None:
        # Written here, and not in the data stack, which would then depend on this one. The port is
        # literal, so that the checks of security groups can read it.
        self.security_group.connections.allow_to(
            data.database.security_group, ec2.Port.tcp(database.PORT), "to the database"
        )
        # To any address, because AWS's addresses are many and change.
        self.security_group.add_egress_rule(ec2.Peer.any_ipv4(), HTTPS, "to AWS and other HTTPS")
        if process is ProcessName.WORKER:
            for port in sorted(set(contract.WORKER_INTERNET_PORTS) - {contract.HTTPS_PORT}):
                self.security_group.add_egress_rule(
                    ec2.Peer.any_ipv4(), ec2.Port.tcp(port), "what jobs fetch from elsewhere"
                )
        open_ports = (
            contract.WORKER_INTERNET_PORTS
            if process is ProcessName.WORKER
            else (contract.HTTPS_PORT,)
        )
        if stage.telemetry_port and stage.telemetry_port not in open_ports:
            self.security_group.add_egress_rule(
                ec2.Peer.any_ipv4(), ec2.Port.tcp(stage.telemetry_port), "to telemetry_endpoint"
            )
        if network.endpoints_group:
            self.security_group.connections.allow_to(
                network.endpoints_group, HTTPS, "to the endpoints of AWS services"
            )


def _capacity(
    stage: Stage, spot_percent: int, min_count: int
) -> list[ecs.CapacityProviderStrategy] | None:
    # Capacity providers also without Spot: when a launch type changes to capacity providers,
    # CloudFormation may replace the ECS service, and fail because the name is taken
    # (aws-cloudformation/cloudformation-coverage-roadmap#2214).
    if not spot_percent:
        strategy = ecs.CapacityProviderStrategy(capacity_provider="FARGATE", weight=1)
        return None if stage.use_launch_type else [strategy]
    return [
        ecs.CapacityProviderStrategy(
            capacity_provider="FARGATE", base=max(min_count, 1), weight=100 - spot_percent
        ),
        ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=spot_percent),
    ]
