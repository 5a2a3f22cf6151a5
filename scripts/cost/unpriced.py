"""What of a template has no price here: it is named, and never left out in silence."""

from collections.abc import Callable, Iterator

from scripts.cost.running import capacity, fleet, zones
from scripts.cost.usage import BY_USE, FREE, is_of_a_domain
from scripts.templates.template import Resource, Template

PRICED = frozenset({
    "AWS::ECS::Service", "AWS::RDS::DBCluster", "AWS::RDS::DBInstance",
    "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::EC2::VPCEndpoint", "AWS::EC2::NatGateway",
    "AWS::EC2::EIP", "AWS::WAFv2::WebACL", "AWS::KMS::Key", "AWS::SecretsManager::Secret",
    "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::Logs::MetricFilter",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
})  # fmt: skip


def unpriced(template: Template) -> Iterator[str]:
    """The type of each resource that is in no sum and in no line about use, and where only some of
    a type are not, which."""
    for resource in template.resources:
        is_custom = resource.type.startswith("Custom::")  # those of the CDK run only in a deploy
        if resource.type not in PRICED | BY_USE | FREE and not is_custom:
            yield resource.type
        if is_custom and is_of_a_domain(resource):
            yield resource.type
        for type, applies, kind in KINDS:
            if resource.type == type and applies(resource, template):
                yield f"{type} {kind}"


def _of(key: str, default: str = "") -> Callable[[Resource], str]:
    return lambda resource: str(resource.properties.get(key, default))


def _has_bounds(instance: Resource, template: Template) -> bool:
    cluster = template.get(str(instance.properties.get("DBClusterIdentifier")))
    return cluster is not None and capacity(cluster) is not None


_instance, _endpoint = _of("DBInstanceClass"), _of("VpcEndpointType", "Gateway")
NO_SUBNETS = "whose subnets are in no template"
# Of the types that have a price, those resources that have none, and how they are told apart.
KINDS: tuple[tuple[str, Callable[[Resource, Template], bool], str], ...] = (
    ("AWS::ECS::Service", lambda each, all: fleet(all, each) is None,
     "that is not on Fargate, or whose size is in no template"),
    ("AWS::RDS::DBCluster", lambda each, _: "DBClusterInstanceClass" in each.properties,
     "that is not serverless"),
    ("AWS::RDS::DBInstance", lambda each, _: _instance(each) != "db.serverless",
     "that is not serverless"),
    ("AWS::RDS::DBInstance",
     lambda each, all: _instance(each) == "db.serverless" and not _has_bounds(each, all),
     "whose capacity is in no template"),
    ("AWS::EC2::VPCEndpoint", lambda each, _: _endpoint(each) not in ("Gateway", "Interface"),
     "of another type than Gateway and Interface"),
    ("AWS::EC2::VPCEndpoint", lambda each, _: _endpoint(each) == "Interface" and not zones(each),
     NO_SUBNETS),
    ("AWS::ElasticLoadBalancingV2::LoadBalancer",
     lambda each, _: _of("Type")(each) == "gateway", "of type gateway"),
    ("AWS::ElasticLoadBalancingV2::LoadBalancer", lambda each, _: not zones(each), NO_SUBNETS),
    ("AWS::WAFv2::WebACL", lambda each, _: "Rules" in each.properties and not each.each("Rules"),
     "whose rules are in no template"),
    ("AWS::DynamoDB::Table", lambda each, _: _of("BillingMode")(each) != "PAY_PER_REQUEST",
     "with provisioned capacity"),
)  # fmt: skip
