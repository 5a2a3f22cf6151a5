"""The VPC: a new one, or one that is there already."""

from aws_cdk import Aws
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.acknowledge import acknowledge
from stacks.config import Stage
from stacks.stage_stack import StageStack, log_group

TASK_SUBNETS = {
    "public": ec2.SubnetType.PUBLIC,
    "nat": ec2.SubnetType.PRIVATE_WITH_EGRESS,
    "endpoints": ec2.SubnetType.PRIVATE_ISOLATED,
}
# Groups of a new VPC's subnets.
PUBLIC, PRIVATE, ISOLATED = "Public", "Private", "Isolated"

# What an ECS task calls, or ECS in its place, beside S3, which has a gateway of its own.
# tests/agreement/test_rights.py holds it to the code.
ENDPOINTS = {
    "Ecr": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "SecretsManager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    # The agent beside the containers passes a worker's protection on to ECS.
    "Ecs": ec2.InterfaceVpcEndpointAwsService.ECS,
    # Sessions: `moor debug`, and through it `moor psql`, need them where exec is off, too.
    "SsmMessages": ec2.InterfaceVpcEndpointAwsService.SSM_MESSAGES,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
}


class Network(Construct):
    """Subnets for the balancer, the ECS tasks and the database.

    `vpc` is where they are, `task_subnets` and `database_subnets` select. The default security
    group lets nothing through. With egress "nat", a gateway in each zone is about 35 USD a month;
    with "endpoints", one endpoint in each zone for each AWS service about 8 USD.
    """

    def __init__(self, scope: StageStack, id: str, *, stage: Stage, key: kms.IKey) -> None:
        super().__init__(scope, id)
        self.endpoints_group: ec2.SecurityGroup | None = None  # with egress "endpoints"
        if stage.vpc_id:
            self.vpc = self._imported(stage)
        else:
            self.vpc = self._new(scope, stage, key)
        self.task_subnets, self.database_subnets = self._selections(stage)

    def _imported(self, stage: Stage) -> ec2.IVpc:
        # From what is written down rather than looked up: synth stays without AWS.
        return ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=stage.vpc_id,
            availability_zones=list(stage.zone_names),
            public_subnet_ids=list(stage.public_subnet_ids),
            private_subnet_ids=list(stage.private_subnet_ids) or None,
            isolated_subnet_ids=list(stage.isolated_subnet_ids),
        )

    def _new(self, scope: StageStack, stage: Stage, key: kms.IKey) -> ec2.IVpc:
        subnets = [
            ec2.SubnetConfiguration(
                name=PUBLIC,
                subnet_type=ec2.SubnetType.PUBLIC,
                cidr_mask=24,
                map_public_ip_on_launch=False,  # ECS gives an address to those that ask for one
            ),
            ec2.SubnetConfiguration(
                name=ISOLATED, subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=26
            ),
        ]
        if stage.egress != "public":
            kind = TASK_SUBNETS[stage.egress]
            subnets.insert(1, ec2.SubnetConfiguration(name=PRIVATE, subnet_type=kind, cidr_mask=24))
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(stage.vpc_cidr),
            max_azs=stage.availability_zones,
            nat_gateways=stage.availability_zones if stage.egress == "nat" else 0,
            subnet_configuration=subnets,
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
        if stage.egress == "endpoints":
            self._add_endpoints(vpc, stage)
        return vpc

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
        if stage.email_from:
            services["Email"] = ec2.InterfaceVpcEndpointAwsService.EMAIL
        if stage.sqs_queue:
            services["Sqs"] = ec2.InterfaceVpcEndpointAwsService.SQS
        self.endpoints_group = ec2.SecurityGroup(
            self,
            "EndpointsSecurityGroup",
            vpc=vpc,
            description="The way to AWS services; each ECS service adds its own rule",
            allow_all_outbound=False,
        )
        for name, service in services.items():
            vpc.add_interface_endpoint(
                f"{name}Endpoint",
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
