"""Whether an ECS task can reach the AWS services that it calls."""

from collections.abc import Iterator

from scripts.doctor.model import Service, System, containers, known, services
from scripts.doctor.permissions import is_parameter
from scripts.doctor.rule import ECS, Rule, Severity, rule
from service.contract import EnvVar, ProcessName


@rule(
    "endpoint-missing", Severity.WARNING,
    'Add the interface endpoints to the VPC, or set egress = "nat".',
    f"{ECS}/vpc-endpoints.html",
)  # fmt: skip
def endpoint_missing(system: System) -> Iterator[str]:
    for service in services(system):
        if service.has_public_address:
            continue
        network = known(system, "network", system.network)
        if network.nat_gateways:
            continue
        missing = [
            name for name in _called(system, service)
            if name.rpartition(".")[2] not in network.endpoints
        ]  # fmt: skip
        if missing:
            yield (
                f"{service.name}: neither a public address nor a NAT gateway, and no endpoint of "
                f"{', '.join(missing)}"
            )


def _called(system: System, service: Service) -> list[str]:
    """The AWS services that its ECS tasks call, or ECS for them; S3 has a gateway endpoint."""
    found = ["secretsmanager"]
    mine = [container for owner, container in containers(system) if owner is service]
    if any(".dkr.ecr." in each.image for each in mine):
        found += ["ecr.api", "ecr.dkr"]
    if any(each.log_driver == "awslogs" for each in mine):
        found.append("logs")
    if any(is_parameter(value) for each in mine for value in each.secrets.values()):
        found.append("ssm")
    environment = service.definition.main.environment
    if service.process == ProcessName.WORKER:
        found.append("ecs")  # for scale-in protection
        if environment.get(EnvVar.EMAIL_FROM):
            found.append("email")
    if environment.get(EnvVar.QUEUE_DSN, "").startswith("sqs://"):
        found.append("sqs")
    return found


NETWORK: tuple[Rule[System], ...] = (endpoint_missing,)
