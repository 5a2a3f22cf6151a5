"""New deployments of ECS services, one after the other."""

from collections.abc import Sequence

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.services import Rollout, Service, find_services, read_services, service_names
from scripts.ecs.waiting import rollout_missing, wait
from scripts.errors import OperatorError
from scripts.terminal.answer import say
from scripts.terminal.progress import steps_reported


def restart(aws: Aws, processes: Sequence[str], clock: Clock) -> None:
    """Replace the ECS tasks of each process with the same revision, one process after the other."""
    services = find_services(aws)
    with steps_reported("ECS finishes what has begun.") as progress:
        for process in processes:
            if not services[process].desired:
                say(f"{process}: the desired count is 0, so there is nothing to restart")
                continue
            say(f"{aws.target}: restarting the {process}")
            begun = deploy(aws, services[process], forceNewDeployment=True)
            progress.note(f"the {process} is being restarted")
            wait(aws, {process: rollout_missing(begun)}, clock)
            progress.done[-1] = f"the {process} was restarted"


def deploy(aws: Aws, service: Service, **change: object) -> Rollout:
    """Begin a new deployment of the ECS service and return it."""
    answer = aws.call(
        "ecs", "update_service", cluster=aws.names.cluster, service=service.name, **change
    )
    found = read_services({"services": [answer["service"]]}, service_names(aws))[service.process]
    if found.primary is None:
        raise OperatorError(f"ECS has made no deployment of the {service.process}")
    return found.primary
