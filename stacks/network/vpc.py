"""The VPC: a new one, or an existing one."""

import re
from collections.abc import Sequence
from typing import Any

import jsii
from aws_cdk import Aws
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.acknowledge import acknowledge
from stacks.config.secrets import SSM
from stacks.config.stage import Stage
from stacks.config.subnets import ISOLATED, PRIVATE, PUBLIC, place
from stacks.stage_stack import StageStack, log_group

# The type of the private subnets, which ECS tasks use unless egress is "public".
PRIVATE_TYPE = {
    "public": ec2.SubnetType.PRIVATE_ISOLATED,
    "nat": ec2.SubnetType.PRIVATE_WITH_EGRESS,
    "endpoints": ec2.SubnetType.PRIVATE_ISOLATED,
}


@jsii.implements(ec2.IIpAddresses)
class SubnetRanges:
    """Gives the CDK the ranges of `stacks/config/subnets.py`, which never move; its own do."""

    def __init__(self, stage: Stage) -> None:
        self.vpc_cidr = stage.vpc_cidr
        self.places = place(stage.vpc_cidr, stage.layout)

    def allocate_vpc_cidr(self) -> ec2.VpcIpamOptions:
        return ec2.VpcIpamOptions(cidr_block=self.vpc_cidr)

    def allocate_subnets_cidr(
        self, *, requested_subnets: Sequence[Any], vpc_cidr: str
    ) -> ec2.SubnetIpamOptions:
        ids = [each.subnet_construct_id.partition("Subnet") for each in requested_subnets]
        return ec2.SubnetIpamOptions(
            allocated_subnets=[
                ec2.AllocatedSubnet(cidr=str(self.places[group, int(zone)]))
                for group, _, zone in ids
            ]
        )


# The AWS services that an ECS task calls, or ECS for it. S3 has a gateway endpoint instead.
# tests/agreement/test_rights.py compares them with the code.
ENDPOINTS = {
    "Ecr": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "SecretsManager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    # The ECS agent passes a worker's scale-in protection on to ECS.
    "Ecs": ec2.InterfaceVpcEndpointAwsService.ECS,
    # For sessions. Where exec is off, `moor debug` needs them too, and through it `moor psql`.
    "SsmMessages": ec2.InterfaceVpcEndpointAwsService.SSM_MESSAGES,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
}


class Network(Construct):
    """The VPC, with subnets for the load balancer, the ECS tasks and the database.

    The default security group allows nothing. With egress "nat", a gateway in each zone costs about
    35 USD a month; with "endpoints", each endpoint of an AWS service in a zone about 8 USD.
    """

    def __init__(self, scope: StageStack, id: str, *, stage: Stage, key: kms.IKey) -> None:
        super().__init__(scope, id)
        self._stage = stage
        self.endpoints_group: ec2.SecurityGroup | None = None  # only in a new VPC
        if stage.vpc_id:
            self.vpc = self._imported(stage)
        else:
            self.vpc = self._new(scope, stage, key)
        self.task_subnets, self.database_subnets = self._selections(stage)

    def add_endpoint(
        self, service: ec2.InterfaceVpcEndpointAwsService | ec2.GatewayVpcEndpointAwsService
    ) -> None:
        """A way to an AWS service for ECS tasks without a way out, if they have none yet.

        An interface endpoint is made with `egress = "endpoints"` alone, because it costs 8 USD a
        month in each zone; a gateway endpoint, which is free, in every VPC that is the stage's own.
        """
        if not isinstance(self.vpc, ec2.Vpc):
            return
        if isinstance(service, ec2.InterfaceVpcEndpointAwsService):
            if self._stage.egress == "endpoints" and service.short_name not in self._reached:
                self._reach(self.vpc, _endpoint_id(service.short_name), service)
        else:
            id = f"{_endpoint_id(service.name.rpartition('.')[2])}Gateway"
            if self.vpc.node.try_find_child(id) is None:
                self.vpc.add_gateway_endpoint(id, service=service)

    def _imported(self, stage: Stage) -> ec2.IVpc:
        # From stages.toml, not looked up, so that synth needs no AWS account.
        vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=stage.vpc_id,
            availability_zones=list(stage.zone_names),
            public_subnet_ids=list(stage.public_subnet_ids),
            private_subnet_ids=list(stage.private_subnet_ids) or None,
            isolated_subnet_ids=list(stage.isolated_subnet_ids),
        )
        acknowledge(
            vpc,
            "Their route tables are their owner's.",
            "Annotation::@aws-cdk/aws-ec2:noSubnetRouteTableId",
        )
        return vpc

    def _new(self, scope: StageStack, stage: Stage, key: kms.IKey) -> ec2.IVpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=SubnetRanges(stage),
            max_azs=stage.availability_zones,
            nat_gateways=stage.availability_zones if stage.egress == "nat" else 0,
            # All of them for every egress: subnets cost nothing, and one that is not needed any
            # more could not be deleted while the later stacks use it.
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name=PUBLIC,
                    subnet_type=ec2.SubnetType.PUBLIC,
                    map_public_ip_on_launch=False,  # the ECS service decides for its ECS tasks
                ),
                ec2.SubnetConfiguration(name=PRIVATE, subnet_type=PRIVATE_TYPE[stage.egress]),
                ec2.SubnetConfiguration(name=ISOLATED, subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            ],
            restrict_default_security_group=True,
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)
            },
        )
        self._log_flows(vpc, stage, key)
        for subnet in vpc.public_subnets:
            acknowledge(
                subnet,
                "A public subnet is one with this route: the balancer is reached by it. Nothing "
                "gets an address here unless it asks for one, and only the balancer's security "
                "group lets anybody in.",
                "NIST.800.53.R5-VPCNoUnrestrictedRouteToIGW",
            )
        # Also without endpoints: running ECS tasks need the rule while egress changes to them.
        self.endpoints_group = ec2.SecurityGroup(
            self,
            "EndpointsSecurityGroup",
            vpc=vpc,
            description="The way to AWS services; each ECS service adds its own rule",
            allow_all_outbound=False,
        )
        self._reached: set[str] = set()
        if stage.egress == "endpoints":
            self._add_endpoints(vpc, stage)
        self._keep_exports(scope, vpc, self.endpoints_group)
        return vpc

    def _keep_exports(
        self, scope: StageStack, vpc: ec2.Vpc, endpoints_group: ec2.SecurityGroup
    ) -> None:
        """Export everything that the service stack may use for any egress.

        This stack is deployed first, and it cannot remove an export that the service stack still
        uses.
        """
        scope.export_value(endpoints_group.security_group_id)
        for subnet in (*vpc.public_subnets, *vpc.select_subnets(subnet_group_name=PRIVATE).subnets):
            scope.export_value(subnet.subnet_id)

    def _log_flows(self, vpc: ec2.Vpc, stage: Stage, key: kms.IKey) -> None:
        group = log_group(self, "FlowLogs", stage=stage, key=key)
        role = iam.Role(
            self,
            "FlowLogsRole",
            assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com").with_conditions(
                {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        iam.ManagedPolicy(
            self,
            "FlowLogsPolicy",
            roles=[role],
            statements=[
                iam.PolicyStatement(
                    actions=[
                        "logs:CreateLogStream",
                        "logs:DescribeLogStreams",
                        "logs:PutLogEvents",
                    ],
                    resources=[group.log_group_arn],  # ends in :*, its streams
                )
            ],
        )
        vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(
                group, role.without_policy_updates()
            ),
            traffic_type=ec2.FlowLogTrafficType.ALL,
        )

    def _add_endpoints(self, vpc: ec2.Vpc, stage: Stage) -> None:
        services = dict(ENDPOINTS)
        if stage.sqs_queue:
            services["Sqs"] = ec2.InterfaceVpcEndpointAwsService.SQS
        if any(secret.place(stage.names).service == SSM for secret in stage.secrets):
            services["Ssm"] = ec2.InterfaceVpcEndpointAwsService.SSM
        for name, service in services.items():
            self._reach(vpc, name, service)

    def _reach(self, vpc: ec2.Vpc, id: str, service: ec2.InterfaceVpcEndpointAwsService) -> None:
        assert self.endpoints_group is not None
        self._reached.add(service.short_name)
        vpc.add_interface_endpoint(
            f"{id}Endpoint",
            service=service,
            subnets=ec2.SubnetSelection(subnet_group_name=PRIVATE),
            security_groups=[self.endpoints_group],
            open=False,
        )

    def _selections(self, stage: Stage) -> tuple[ec2.SubnetSelection, ec2.SubnetSelection]:
        tasks = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
        database = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        if not stage.vpc_id:
            database = ec2.SubnetSelection(subnet_group_name=ISOLATED)
            if stage.egress != "public":
                tasks = ec2.SubnetSelection(subnet_group_name=PRIVATE)
        elif stage.egress != "public":
            tasks = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        return tasks, database


def _endpoint_id(service: str) -> str:
    """`EmailSmtp` for `email-smtp`."""
    return "".join(part.capitalize() for part in re.split(r"[.-]", service))
