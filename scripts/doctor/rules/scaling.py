"""How many run, on what, and where."""

from collections.abc import Iterator

from scripts.doctor.model import System, seen, services
from scripts.doctor.rule import DOCS, ECS, Rule, Severity, rule
from service.contract import ProcessName

CPU_METRIC = "ECSServiceAverageCPUUtilization"


@rule(
    "worker-never-wakes", Severity.ERROR,
    "Set api_min_count = 1: at zero workers the API is who tells the autoscaler of waiting jobs.",
    DOCS,
)  # fmt: skip
def worker_never_wakes(system: System) -> Iterator[str]:
    api = sum(
        service.least or service.desired or 0 for service in services(system, ProcessName.API)
    )
    for service in services(system, ProcessName.WORKER):
        if service.least == 0 and service.most and not api:
            yield f"{service.name}: it may go to zero, and nobody would report the jobs that wait"


@rule(
    "worker-stopped-by-cpu", Severity.WARNING,
    "Scale the worker in by its jobs: one that waits for something uses no CPU and has work.",
    f"{ECS}/service-autoscaling-targettracking.html",
)  # fmt: skip
def worker_stopped_by_cpu(system: System) -> Iterator[str]:
    for service in services(system, ProcessName.WORKER):
        if any(p.metric == CPU_METRIC and p.may_scale_in for p in service.policies):
            yield f"{service.name}: workers are stopped because their CPU idles"


@rule(
    "api-on-spot", Severity.WARNING,
    "Run the API on demand: a reclaimed ECS task has not left the balancer when it is stopped.",
    f"{ECS}/fargate-capacity-providers.html",
)  # fmt: skip
def api_on_spot(system: System) -> Iterator[str]:
    for service in services(system, ProcessName.API):
        if service.uses_spot:
            yield f"{service.name}: it runs on Spot, which AWS takes back with two minutes' notice"


@rule(
    "one-zone", Severity.NOTICE,
    "Two availability zones or more; with NAT, a gateway in each.",
    "https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html",
)  # fmt: skip
def one_zone(system: System) -> Iterator[str]:
    network = seen(system, "network", system.network)
    if network.zones < 2:
        yield "everything runs in one availability zone"
    elif network.nat_gateways == 1:
        yield "one NAT gateway serves every zone: with its zone the way out is gone for all"


SCALING: tuple[Rule[System], ...] = (
    worker_never_wakes,
    worker_stopped_by_cpu,
    api_on_spot,
    one_zone,
)
