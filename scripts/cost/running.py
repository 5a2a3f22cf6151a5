"""How many ECS tasks of which size a template keeps running."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.templates.template import Resource, Template


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
        definition = template.get(str(service.properties.get("TaskDefinition")))
        if definition is None:
            continue
        base, spot_share = _spot(service.properties)
        least, most = _bounds(template, service)
        network = service.properties.get("NetworkConfiguration", {}).get("AwsvpcConfiguration", {})
        platform = definition.properties.get("RuntimePlatform", {})
        yield Fleet(
            name=str(service.properties.get("ServiceName", service.name)),
            vcpu=int(definition.properties["Cpu"]) / 1024,
            gb=int(definition.properties["Memory"]) / 1024,
            architecture=str(platform.get("CpuArchitecture", "X86_64")).lower(),
            least=least,
            most=most,
            has_public_address=network.get("AssignPublicIp") == "ENABLED",
            on_demand_base=base,
            spot_share=spot_share,
        )


def _bounds(template: Template, service: Resource) -> tuple[int, int]:
    """The autoscaler's bounds, else the desired count (1 where the template has none)."""
    ends = (f"/{service.name}.Name", f"/{service.properties.get('ServiceName')}")
    for target in template.all("AWS::ApplicationAutoScaling::ScalableTarget"):
        if str(target.properties["ResourceId"]).endswith(ends):
            return int(target.properties["MinCapacity"]), int(target.properties["MaxCapacity"])
    count = int(service.properties.get("DesiredCount", 1))
    return count, count


def _spot(properties: Mapping[str, Any]) -> tuple[int, float]:
    strategy = properties.get("CapacityProviderStrategy", [])
    weights = {each["CapacityProvider"]: each.get("Weight", 0) for each in strategy}
    base = sum(
        each.get("Base", 0) for each in strategy if each["CapacityProvider"] != "FARGATE_SPOT"
    )
    total = sum(weights.values())
    return base, weights.get("FARGATE_SPOT", 0) / total if total else 0.0
