"""What is connected with what, and under which names: no part may end up with another's."""

import ipaddress
import re

from service.contract import ProcessName
from tests.stacks.templates import Templates

# Type, start of the logical id, property: what the value refers to.
REFERENCES = [
    ("AWS::EC2::Subnet", "", "VpcId", "NetworkVpc"),
    ("AWS::EC2::SecurityGroup", "", "VpcId", "NetworkVpc"),
    ("AWS::EC2::VPCEndpoint", "NetworkVpcS3", "VpcId", "NetworkVpc"),
    ("AWS::EC2::VPCEndpoint", "NetworkVpcS3", "ServiceName", "s3"),
    ("AWS::EC2::VPCEndpoint", "NetworkVpcS3", "RouteTableIds", "RouteTable"),
    ("AWS::EC2::FlowLog", "", "ResourceId", "NetworkVpc"),
    ("AWS::EC2::FlowLog", "", "DeliverLogsPermissionArn", "FlowLogsRole"),
    ("Custom::VpcRestrictDefaultSG", "", "ServiceToken", "CustomVpcRestrictDefaultSG"),
    ("AWS::RDS::DBCluster", "", "DBSubnetGroupName", "DatabaseClusterSubnets"),
    ("AWS::RDS::DBInstance", "", "DBClusterIdentifier", "DatabaseCluster"),
    ("AWS::ECS::Service", "", "Cluster", "Cluster"),
    ("AWS::ECS::Service", "Api", "TaskDefinition", "ApiTaskDefinition"),
    ("AWS::ECS::Service", "Worker", "TaskDefinition", "WorkerTaskDefinition"),
    ("AWS::ECS::Service", "Api", "LoadBalancers", "DoorApi"),
    ("AWS::ECS::Service", "Api", "NetworkConfiguration", "ApiServiceSecurityGroup"),
    ("AWS::ECS::Service", "Worker", "NetworkConfiguration", "WorkerServiceSecurityGroup"),
    ("AWS::ECS::TaskDefinition", "Api", "TaskRoleArn", "ApiRolesTaskRole"),
    ("AWS::ECS::TaskDefinition", "Api", "ExecutionRoleArn", "ApiRolesExecution"),
    ("AWS::ECS::TaskDefinition", "Worker", "TaskRoleArn", "WorkerRolesTaskRole"),
    ("AWS::ECS::TaskDefinition", "Worker", "ExecutionRoleArn", "WorkerRolesExecution"),
    ("AWS::ECS::ClusterCapacityProviderAssociations", "", "Cluster", "Cluster"),
    ("AWS::ElasticLoadBalancingV2::TargetGroup", "", "VpcId", "NetworkVpc"),
    ("AWS::ElasticLoadBalancingV2::Listener", "", "LoadBalancerArn", "DoorBalancer"),
    ("AWS::ApplicationAutoScaling::ScalableTarget", "", "RoleARN", "ApplicationAutoScaling_ECS"),
    ("AWS::ApplicationAutoScaling::ScalingPolicy", "Api", "ScalingTargetId", "ApiService"),
    ("AWS::ApplicationAutoScaling::ScalingPolicy", "Worker", "ScalingTargetId", "WorkerScaling"),
    ("AWS::SNS::TopicPolicy", "", "Topics", "AlarmTopic"),
    ("AWS::RDS::EventSubscription", "", "SourceIds", "DatabaseCluster"),
]


def parts_are_connected_with_each_other(templates: Templates) -> None:
    """EC2, ECS, RDS, ELB: each reference leads to ours."""
    for kind, prefix, property, wanted in REFERENCES:
        for each in templates.all(kind, prefix):
            value = each.get(property)
            items = value if isinstance(value, list) else [value]
            assert items, (each.id, property)
            for item in items:
                assert wanted in str(item), (each.id, property)
    for each in templates.all("AWS::ECS::Service"):
        public = templates.stage.egress == "public"
        wanted = "PublicSubnet" if public else "PrivateSubnet"
        subnets = each.get("NetworkConfiguration.AwsvpcConfiguration.Subnets")
        assert all(wanted in str(subnet) for subnet in subnets)
    for each in templates.all("AWS::ElasticLoadBalancingV2::Listener"):
        for action in each.get("DefaultActions"):
            if action["Type"] == "forward":
                assert "DoorApi" in str(action["TargetGroupArn"])
        for certificate in each.get("Certificates") or []:
            arn = certificate["CertificateArn"]
            assert arn == templates.stage.certificate_arn or "DoorCertificate" in str(arn)


def what_people_type_is_named_as_they_type_it(templates: Templates) -> None:
    """DESIGN: cluster, ECS services, log groups; and the database, for its log group's sake."""
    names = templates.stage.names
    wanted = {
        ("AWS::ECS::Cluster", "Cluster", "ClusterName"): names.cluster,
        ("AWS::ECS::Service", "Api", "ServiceName"): names.service(ProcessName.API),
        ("AWS::ECS::Service", "Worker", "ServiceName"): names.service(ProcessName.WORKER),
        ("AWS::ECS::TaskDefinition", "Api", "Family"): f"{names.prefix}-api",
        ("AWS::ECS::TaskDefinition", "Worker", "Family"): f"{names.prefix}-worker",
        ("AWS::Logs::LogGroup", "ApiLog", "LogGroupName"): names.log_group(ProcessName.API),
        ("AWS::Logs::LogGroup", "WorkerLog", "LogGroupName"): names.log_group(ProcessName.WORKER),
        ("AWS::Logs::LogGroup", "ExecLog", "LogGroupName"): names.exec_log_group,
        ("AWS::Logs::LogGroup", "DatabaseLogs", "LogGroupName"): names.database_log_group,
        ("AWS::RDS::DBCluster", "Database", "DBClusterIdentifier"): names.database,
    }
    if templates.stage.web_firewall:
        log = f"aws-waf-logs-{names.prefix}"  # the firewall writes to no group without that start
        wanted["AWS::Logs::LogGroup", "FirewallLog", "LogGroupName"] = log
        wanted["AWS::WAFv2::WebACL", "Firewall", "Name"] = names.prefix
    for (kind, prefix, property), name in wanted.items():
        assert templates.one(kind, prefix).get(property) == name


def routes_lead_out_by_their_own_zone(templates: Templates) -> None:
    """EC2: public subnets by the internet gateway, private ones by the NAT gateway beside them."""
    wanted = {"public": {"Public"}, "nat": {"Public", "Private"}, "endpoints": {"Public"}}
    seen = set()
    for route in templates.all("AWS::EC2::Route"):
        match = re.match(r"NetworkVpc(Public|Private)Subnet(\d)DefaultRoute", route.id)
        assert match, route.id
        kind, zone = match.groups()
        seen.add((kind, int(zone)))
        assert route.get("DestinationCidrBlock") == "0.0.0.0/0"
        assert f"{kind}Subnet{zone}RouteTable" in str(route.get("RouteTableId"))
        if kind == "Public":
            assert "IGW" in str(route.get("GatewayId"))
        else:
            assert f"PublicSubnet{zone}NATGateway" in str(route.get("NatGatewayId"))
    stage = templates.stage
    assert seen == {
        (kind, zone + 1)
        for kind in wanted[stage.egress]
        for zone in range(stage.availability_zones)
    }
    for gateway in templates:
        if gateway.type == "AWS::EC2::NatGateway":
            assert "PublicSubnet" in str(gateway.get("SubnetId"))
            assert "EIP" in str(gateway.get("AllocationId"))


def subnets_share_the_vpc_without_overlap(templates: Templates) -> None:
    """EC2: every subnet has its own part of the range."""
    whole = ipaddress.ip_network(templates.stage.vpc_cidr)
    parts = [
        ipaddress.ip_network(each.get("CidrBlock")) for each in templates.all("AWS::EC2::Subnet")
    ]
    assert all(whole.supernet_of(part) for part in parts)  # type: ignore[arg-type]
    assert sum(part.num_addresses for part in parts) == len(
        {host for part in parts for host in part}
    )


def scaling_begins_when_its_ecs_service_is_there(templates: Templates) -> None:
    """Application Auto Scaling refuses a target that does not exist yet."""
    for process in ("Api", "Worker"):
        (target,) = (
            each
            for each in templates.all("AWS::ApplicationAutoScaling::ScalableTarget")
            if each.id.startswith(process)
        )
        needed = templates.one("AWS::ECS::Service", process).id
        assert needed in target.body.get("DependsOn", []) or needed in str(target.properties)


def vpc_answers_names(templates: Templates) -> None:
    """Endpoints and Aurora are found by name."""
    vpc = templates.one("AWS::EC2::VPC")
    assert vpc.get("EnableDnsSupport") is True
    assert vpc.get("EnableDnsHostnames") is True
    assert vpc.get("CidrBlock") == templates.stage.vpc_cidr
    assert vpc.get("InstanceTenancy") == "default"


def database_is_the_engine_that_was_tested(templates: Templates) -> None:
    """The embedded Postgres of the tests is of the same major version."""
    cluster = templates.one("AWS::RDS::DBCluster")
    assert cluster.get("Engine") == "aurora-postgresql"
    assert cluster.get("EngineVersion").startswith("18.")
    assert cluster.get("DatabaseName") == cluster.get("MasterUsername") == "moorage"
    assert {each.get("Engine") for each in templates.all("AWS::RDS::DBInstance")} == {
        "aurora-postgresql"
    }
    family = templates.one("AWS::RDS::DBClusterParameterGroup").get("Family")
    assert family == "aurora-postgresql18"
    logs = templates.one("AWS::Logs::LogGroup", "DatabaseLogs")
    # or RDS makes the group itself, without encryption and without an end
    assert logs.id in cluster.body["DependsOn"]
