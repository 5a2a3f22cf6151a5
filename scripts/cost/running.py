"""How much of what a template keeps running: ECS tasks of which size, capacity of databases."""

from collections.abc import Iterator
from dataclasses import dataclass

from scripts.templates.template import Resource, Template

SPOT = "FARGATE_SPOT"
FARGATE = {"FARGATE", SPOT}


@dataclass(frozen=True)
class Fleet:
    """The ECS tasks of one ECS service: between `least` and `most` of them."""

    name: str
    vcpu: float
    gb: float
    architecture: str  # arm64, x86_64
    least: int
    most: int
    has_public_address: bool
    on_demand_base: int  # the first ECS tasks, which are never on Spot
    spot_share: float  # of all further ECS tasks

    def on_spot(self, count: int) -> float:
        """How many of `count` run on Spot, on average."""
        return max(count - self.on_demand_base, 0) * self.spot_share

    def __str__(self) -> str:
        counts = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        spot = f", {self.spot_share:.0%} of the further ones on Spot" if self.spot_share else ""
        return (
            f"{self.name}, {counts} × {self.vcpu:g} vCPU and {self.gb:g} GB "
            f"on {self.architecture}{spot}"
        )


def fleets(template: Template) -> Iterator[Fleet]:
    """One for each ECS service on Fargate."""
    for service in template.all("AWS::ECS::Service"):
        if found := fleet(template, service):
            yield found


def fleet(template: Template, service: Resource) -> Fleet | None:
    """Of one ECS service; None where it is not on Fargate, or its size is in no template."""
    definition = template.get(str(service.properties.get("TaskDefinition")))
    bounds = _bounds(template, service)
    if definition is None or bounds is None or service.properties.get("LaunchType") == "EC2":
        return None
    cpu, memory = definition.number("Cpu"), definition.number("Memory")
    strategy = _weights(service)
    if not cpu or not memory or not strategy.keys() <= FARGATE:
        return None
    network = service.within("NetworkConfiguration").get("AwsvpcConfiguration", {})
    platform = definition.within("RuntimePlatform")
    is_arm = platform.get("CpuArchitecture") == "ARM64"
    return Fleet(
        name=str(service.properties.get("ServiceName", service.name)),
        vcpu=cpu / 1024,
        gb=memory / 1024,
        architecture="arm64" if is_arm else "x86_64",
        least=bounds[0],
        most=bounds[1],
        has_public_address=network.get("AssignPublicIp") == "ENABLED",
        on_demand_base=_base(service),
        spot_share=strategy.get(SPOT, 0) / (sum(strategy.values()) or 1),
    )


def capacity(cluster: Resource) -> tuple[float, float] | None:
    """The least and most ACUs of each serverless instance; None where no template says."""
    scaling = cluster.within("ServerlessV2ScalingConfiguration")
    try:
        return float(scaling["MinCapacity"]), float(scaling["MaxCapacity"])
    except (KeyError, TypeError, ValueError):
        return None


def zones(resource: Resource) -> int:
    """In how many a load balancer or an endpoint is; 0 where no template says."""
    subnets = (resource.each(key) for key in ("Subnets", "SubnetMappings", "SubnetIds"))
    return max(len(each) for each in subnets)


def _bounds(template: Template, service: Resource) -> tuple[int, int] | None:
    """The autoscaler's bounds, else the desired count (1 where the template has none); None where
    only a deploy knows them."""
    ends = (f"/{service.name}.Name", f"/{service.properties.get('ServiceName')}")
    for target in template.all("AWS::ApplicationAutoScaling::ScalableTarget"):
        if str(target.properties.get("ResourceId")).endswith(ends):
            least, most = target.number("MinCapacity"), target.number("MaxCapacity")
            return None if least is None or most is None else (int(least), int(most))
    count = service.number("DesiredCount") if "DesiredCount" in service.properties else 1
    return None if count is None else (int(count), int(count))


def _weights(service: Resource) -> dict[str, int]:
    """By capacity provider; empty where the launch type says it."""
    strategy = service.each("CapacityProviderStrategy")
    return {str(each["CapacityProvider"]): int(each.get("Weight", 0)) for each in strategy}


def _base(service: Resource) -> int:
    return sum(
        int(each.get("Base", 0))
        for each in service.each("CapacityProviderStrategy")
        if each["CapacityProvider"] != SPOT
    )
