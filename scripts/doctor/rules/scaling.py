"""How many ECS tasks run, on which capacity, and in which zones."""

from collections.abc import Iterator

from scripts.doctor.model import System, known, services
from scripts.doctor.rule import DOCS, ECS, Rule, Severity, rule
from service.contract import ProcessName

CPU_METRIC = "ECSServiceAverageCPUUtilization"


@rule(
    "worker-never-wakes", Severity.ERROR,
    "Set api_min_count = 1: at zero workers only the API reports the backlog to the autoscaler.",
    DOCS,
)  # fmt: skip
def worker_never_wakes(system: System) -> Iterator[str]:
    api = sum(
        service.least or service.desired or 0 for service in services(system, ProcessName.API)
    )
    for service in services(system, ProcessName.WORKER):
        if service.least == 0 and service.most and not api:
            yield f"{service.name}: it may scale to zero, and then nothing reports the backlog"


@rule(
    "worker-stopped-by-cpu", Severity.WARNING,
    "Scale the worker in by its jobs: a job that waits for another service uses no CPU.",
    f"{ECS}/service-autoscaling-targettracking.html",
)  # fmt: skip
def worker_stopped_by_cpu(system: System) -> Iterator[str]:
    for service in services(system, ProcessName.WORKER):
        if any(p.metric == CPU_METRIC and p.may_scale_in for p in service.policies):
            yield f"{service.name}: a low CPU stops workers, even those that run jobs"


@rule(
    "api-on-spot", Severity.WARNING,
    "Run the API on demand: AWS stops a Spot ECS task while the load balancer still uses it.",
    f"{ECS}/fargate-capacity-providers.html",
)  # fmt: skip
def api_on_spot(system: System) -> Iterator[str]:
    for service in services(system, ProcessName.API):
        if service.uses_spot:
            yield f"{service.name}: it runs on Spot, which AWS stops with two minutes' notice"


@rule(
    "one-zone", Severity.NOTICE,
    "Use two availability zones or more, with a NAT gateway in each if there are any.",
    "https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html",
)  # fmt: skip
def one_zone(system: System) -> Iterator[str]:
    network = known(system, "network", system.network)
    if network.zones < 2:
        yield "everything runs in one availability zone"
    elif network.nat_gateways == 1:
        yield "one NAT gateway serves every zone: if its zone fails, no zone has a way out"


SCALING: tuple[Rule[System], ...] = (
    worker_never_wakes,
    worker_stopped_by_cpu,
    api_on_spot,
    one_zone,
)
