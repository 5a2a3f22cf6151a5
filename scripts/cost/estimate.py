"""What a synthesized stage costs in a month: a pure function of its template and the prices."""

from collections.abc import Iterator
from dataclasses import dataclass

from scripts.cost.prices import Prices
from scripts.cost.running import Fleet, capacity, fleets, zones
from scripts.cost.unpriced import unpriced
from scripts.cost.usage import usage_notes
from scripts.templates.template import Template
from service.contract import QUEUE_NAME, EnvVar, Metric, read_pools

# A target tracking policy makes one alarm to scale out and one to scale in.
# https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html
TRACKING_ALARMS = 2
OF_QUEUE = 2  # metrics of a queue: how many jobs wait, and for how long
# How many metrics Container Insights writes on Fargate: ten about CPU, memory, network and storage
# for the cluster, each ECS service and each task definition family; the first two also have counts.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html
INSIGHTS_OF_CLUSTER, INSIGHTS_OF_SERVICE, INSIGHTS_OF_FAMILY = 12, 15, 10


@dataclass(frozen=True)
class Item:
    """What one kind of resource costs in a month, in USD: at rest, and always at its maximum."""

    what: str
    at_rest: float
    at_most: float


@dataclass(frozen=True)
class Estimate:
    """The cost of a stage in a month, the most expensive item first. `by_use` names what depends
    on traffic and is not in the sums."""

    region: str
    checked: str
    items: tuple[Item, ...]
    by_use: tuple[str, ...]
    unknown: tuple[str, ...]  # types of resources without a price here, or which of a type
    unchecked: tuple[str, ...]  # prices without a source

    @property
    def at_rest(self) -> float:
        return sum(item.at_rest for item in self.items)

    @property
    def at_most(self) -> float:
        return sum(item.at_most for item in self.items)


def estimate(template: Template, prices: Prices) -> Estimate:
    """What the template's resources cost at these prices."""
    items = [item for part in PARTS for item in part(template, prices)]
    return Estimate(
        region=prices.region,
        checked=prices.checked,
        items=tuple(sorted(items, key=lambda item: (-item.at_rest, -item.at_most))),
        by_use=tuple(usage_notes(template, prices)),
        unknown=tuple(sorted(set(unpriced(template)))),
        unchecked=tuple(key for key, price in prices.by_key.items() if not price.read_at),
    )


def _fargate(template: Template, prices: Prices) -> Iterator[Item]:
    address = prices["public_ipv4"].monthly
    for fleet in fleets(template):
        yield Item(
            str(fleet), _running(fleet, fleet.least, prices), _running(fleet, fleet.most, prices)
        )
        if fleet.has_public_address:
            what = f"public addresses of {fleet.name}"
            yield Item(what, fleet.least * address, fleet.most * address)


def _running(fleet: Fleet, count: int, prices: Prices) -> float:
    each = (
        fleet.vcpu * prices[f"fargate_{fleet.architecture}_vcpu"].monthly
        + fleet.gb * prices[f"fargate_{fleet.architecture}_gb"].monthly
    )
    on_spot = fleet.on_spot(count)
    return each * (count - on_spot + on_spot * prices["fargate_spot_share"].usd)


def _database(template: Template, prices: Prices) -> Iterator[Item]:
    acu = prices["aurora_acu"].monthly
    for cluster in template.all("AWS::RDS::DBCluster"):
        bounds = capacity(cluster)
        instances = [
            instance
            for instance in template.all("AWS::RDS::DBInstance")
            if instance.properties.get("DBClusterIdentifier") == cluster.name
            and instance.properties.get("DBInstanceClass") == "db.serverless"
        ]
        if bounds is None or not instances:
            continue
        (least, most), count = bounds, len(instances)
        yield Item(
            f"Aurora, {count} × {least:g} to {most:g} ACU", count * least * acu, count * most * acu
        )


def _network(template: Template, prices: Prices) -> Iterator[Item]:
    for balancer in template.all("AWS::ElasticLoadBalancingV2::LoadBalancer"):
        if balancer.properties.get("Type") == "gateway":
            continue
        monthly = prices["load_balancer"].monthly
        count = zones(balancer)
        if balancer.properties.get("Scheme") == "internet-facing":
            monthly += count * prices["public_ipv4"].monthly
        yield Item(f"load balancer with its address in {count} zones", monthly, monthly)
    in_zones = sum(
        zones(endpoint)
        for endpoint in template.all("AWS::EC2::VPCEndpoint")
        if endpoint.properties.get("VpcEndpointType") == "Interface"
    )
    endpoint = prices["interface_endpoint"].monthly
    yield from _counted("interface endpoint in a zone", in_zones, endpoint)
    gateways = len(template.all("AWS::EC2::NatGateway"))
    yield from _counted("NAT gateway", gateways, prices["nat_gateway"].monthly)
    addresses = len(template.all("AWS::EC2::EIP"))
    yield from _counted("elastic address", addresses, prices["public_ipv4"].monthly)
    for firewall in template.all("AWS::WAFv2::WebACL"):
        rules = len(firewall.each("Rules"))
        monthly = prices["firewall_acl"].monthly + rules * prices["firewall_rule"].monthly
        yield Item(f"web firewall with {rules} rules", monthly, monthly)


def _keys(template: Template, prices: Prices) -> Iterator[Item]:
    keys = len(template.all("AWS::KMS::Key"))
    yield from _counted("encryption key", keys, prices["kms_key"].monthly)
    secrets = len(template.all("AWS::SecretsManager::Secret")) + sum(
        bool(cluster.properties.get("ManageMasterUserPassword"))  # RDS makes a secret of its own
        for cluster in template.all("AWS::RDS::DBCluster")
    )
    secrets += len(set(_project_secrets(template)))
    yield from _counted("secret", secrets, prices["secret"].monthly)


def _project_secrets(template: Template) -> Iterator[str]:
    """The secrets that `moor secrets` makes, which are in no template. Others are paid
    for where they are kept."""
    for definition in template.all("AWS::ECS::TaskDefinition"):
        for container in definition.each("ContainerDefinitions"):
            told = {each["Name"]: each["Value"] for each in container.get("Environment", ())}
            start = f":secret:{told.get(EnvVar.APP_NAME)}/{told.get(EnvVar.STAGE)}/"
            for each in container.get("Secrets", ()):
                if start in each["ValueFrom"]:
                    yield each["ValueFrom"]


def _monitoring(template: Template, prices: Prices) -> Iterator[Item]:
    alarms = sum(
        # AWS charges an alarm on an expression for each metric in it
        sum("MetricStat" in metric for metric in alarm.each("Metrics")) or 1
        for alarm in template.all("AWS::CloudWatch::Alarm")
    ) + TRACKING_ALARMS * sum(
        policy.properties.get("PolicyType") == "TargetTrackingScaling"
        for policy in template.all("AWS::ApplicationAutoScaling::ScalingPolicy")
    )
    yield from _counted("metric with an alarm", alarms, prices["alarm"].monthly)
    dashboards = len(template.all("AWS::CloudWatch::Dashboard"))
    yield from _counted("dashboard", dashboards, prices["dashboard"].monthly)
    metrics = len(template.all("AWS::Logs::MetricFilter"))
    if template.all("AWS::ECS::Service"):
        metrics += _own_metrics(template)
    yield from _counted("metric of our own", metrics, prices["metric"].monthly)
    yield from _insights(template, prices)


def _own_metrics(template: Template) -> int:
    """All of them of each worker pool, and two of each further queue."""
    for definition in template.all("AWS::ECS::TaskDefinition"):
        for container in definition.each("ContainerDefinitions"):
            for each in container.get("Environment", ()):
                if each["Name"] == EnvVar.WORKER_POOLS:
                    pools = read_pools(each["Value"])
                    queues = {name for served in pools.values() for name in served.names}
                    return len(Metric) * len(pools) + OF_QUEUE * len(queues - {QUEUE_NAME})
    return len(Metric)


def _insights(template: Template, prices: Prices) -> Iterator[Item]:
    """Container Insights writes and costs nothing for an ECS service without running ECS tasks."""
    clusters = sum(
        setting.get("Name") == "containerInsights" and setting.get("Value") != "disabled"
        for cluster in template.all("AWS::ECS::Cluster")
        for setting in cluster.each("ClusterSettings")
    )
    if not clusters:
        return
    found = list(fleets(template))
    for what, of_cluster, of_each in (
        ("of the cluster and its ECS services", INSIGHTS_OF_CLUSTER, INSIGHTS_OF_SERVICE),
        ("of the task definitions", 0, INSIGHTS_OF_FAMILY),
    ):
        most = clusters * of_cluster + len(found) * of_each
        running = sum(fleet.least > 0 for fleet in found)
        least = (clusters * of_cluster if running else 0) + running * of_each
        each = prices["metric"].monthly
        yield Item(f"Container Insights, {most} metrics {what}", least * each, most * each)


def _counted(what: str, count: int, monthly: float) -> Iterator[Item]:
    if count:
        yield Item(f"{count} × {what}", count * monthly, count * monthly)


PARTS = (_fargate, _database, _network, _keys, _monitoring)
