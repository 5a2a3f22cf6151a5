"""What is charged by use, and therefore not in the sum; and what costs nothing."""

from collections.abc import Iterator

from scripts.cost.prices import Prices
from scripts.cost.running import capacity
from scripts.templates.template import Resource, Template


def usage_notes(template: Template, prices: Prices) -> Iterator[str]:
    """A line for each kind of use, with its price where the table has one."""
    if template.all("AWS::ElasticLoadBalancingV2::LoadBalancer"):
        yield (
            f"load balancer: {_each(prices, 'load_balancer_lcu')} "
            "(25 new connections a second or 1 GB an hour)"
        )
    if template.all("AWS::RDS::DBCluster"):
        yield (
            f"Aurora: {_each(prices, 'aurora_storage')} of storage, "
            f"{_each(prices, 'aurora_io')}; backups beyond the size of the database"
        )
    yield from _above_the_minimum(template, prices)
    if template.all("AWS::EC2::NatGateway"):
        yield f"NAT gateways: {_each(prices, 'nat_gateway_gb')} that goes through them"
    if groups := template.all("AWS::Logs::LogGroup"):
        flow = ", flow logs among them" if template.all("AWS::EC2::FlowLog") else ""
        yield (
            f"{len(groups)} log groups{flow}, and those that Container Insights and enhanced "
            f"monitoring make: {_each(prices, 'log_gb')}"
        )
    if template.all("AWS::WAFv2::WebACL"):
        yield f"web firewall: {_each(prices, 'firewall_requests')}"
    if buckets := template.all("AWS::S3::Bucket"):
        yield f"{len(buckets)} buckets: what they store and how often they are asked"
    if tables := template.all("AWS::DynamoDB::Table"):
        yield (
            f"{_count(tables, 'table')} of DynamoDB: {_each(prices, 'table_writes')}, "
            f"{_each(prices, 'table_reads')}, {_each(prices, 'table_storage')} of storage; backups "
            "and indexes"
        )
    if queues := template.all("AWS::SQS::Queue"):
        yield f"{_count(queues, 'queue')} of SQS: {_each(prices, 'queue_requests')}, empty ones too"
    if functions := [each for each in template.all(FUNCTION) if is_of_a_domain(each)]:
        yield (
            f"{_count(functions, 'function')} of Lambda: {_each(prices, 'function_calls')}, "
            f"{_each(prices, 'function_gb_second')}"
        )
    yield "traffic to the internet and between zones"
    yield "calls of KMS, Secrets Manager, SNS and CloudWatch; images in ECR"


def _above_the_minimum(template: Template, prices: Prices) -> Iterator[str]:
    """Features that query the database all the time, so that it may stay above its minimum."""
    instances = template.all("AWS::RDS::DBInstance")
    clusters = template.all("AWS::RDS::DBCluster")
    watchers = [
        name
        for name, found, key in (
            ("Performance Insights", instances, "EnablePerformanceInsights"),
            ("enhanced monitoring", [*clusters, *instances], "MonitoringInterval"),
            ("log export", clusters, "EnableCloudwatchLogsExports"),
        )
        if any(each.properties.get(key) for each in found)
    ]
    smallest = [bounds[0] for cluster in clusters if (bounds := capacity(cluster))]
    if watchers and smallest:
        step = prices["aurora_acu"].monthly / 2
        yield (
            f"Aurora above its minimum of {min(smallest):g} ACU, because {', '.join(watchers)} "
            f"query it all the time: half an ACU more is {step:.2f} USD a month for each instance"
        )


def _each(prices: Prices, key: str) -> str:
    price = prices[key]
    return f"{price.usd:g} USD per {price.unit}"


def is_of_a_domain(resource: Resource) -> bool:
    """Whether a file in `stacks/domain/` has made it."""
    return resource.name.partition("/")[2].startswith("Domain")


def _count(resources: list[Resource], what: str) -> str:
    return f"{len(resources)} {what}{'' if len(resources) == 1 else 's'}"


# `usage_notes` has them. The functions of the stacks themselves run only in a deploy.
FUNCTION = "AWS::Lambda::Function"
BY_USE = frozenset({"AWS::DynamoDB::Table", "AWS::SQS::Queue", FUNCTION, "AWS::S3::Bucket"})
# Resources that cost nothing by themselves.
FREE = frozenset({
    "AWS::ApplicationAutoScaling::ScalableTarget", "AWS::CDK::Metadata",
    "AWS::CertificateManager::Certificate", "AWS::EC2::FlowLog", "AWS::EC2::InternetGateway",
    "AWS::EC2::Route", "AWS::EC2::RouteTable", "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::Subnet",
    "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPC", "AWS::EC2::VPCGatewayAttachment",
    "AWS::ECS::Cluster", "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::ECS::TaskDefinition", "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::ListenerRule", "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::Events::Rule", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role",
    "AWS::KMS::Alias", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup", "AWS::Logs::ResourcePolicy",
    "AWS::RDS::DBClusterParameterGroup", "AWS::RDS::DBSubnetGroup", "AWS::RDS::EventSubscription",
    "AWS::Route53::RecordSet", "AWS::S3::BucketPolicy", "AWS::SNS::Subscription",
    "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy",
    "AWS::WAFv2::LoggingConfiguration", "AWS::WAFv2::WebACLAssociation",
})  # fmt: skip
