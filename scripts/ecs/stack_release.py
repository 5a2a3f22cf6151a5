"""The ECS services back on the stack's own release, where a deploy has seen nothing to do.

`moor rollback`, or ECS when it gives a deployment up, moves an ECS service behind the stack's back;
to a deploy of the same code nothing has changed.
"""

from collections.abc import Callable, Mapping

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.rollouts import FORWARDS, deploy
from scripts.ecs.services import find_services, revision
from scripts.ecs.steady import SERVICES, await_steady
from scripts.errors import NotDeployedError


def outputs_before(aws: Aws) -> Mapping[str, str]:
    """Those of the stacks as they are; none before the first deploy."""
    try:
        return aws.outputs
    except NotDeployedError:
        return {}


def bring_forward(
    aws: Aws, before: Mapping[str, str], say: Callable[[str], None], clock: Clock
) -> None:
    """Deploy to each what the stack says, one after the other. `before` are the outputs before the
    deploy: what that has changed is on its way already.

    Raises `RolledBackError` or `OverdueError`, as `await_steady` does.
    """
    services = find_services(aws)
    for process in FORWARDS:
        output, service = SERVICES[process], services[process]
        wanted = aws.output(output)
        if service.task_definition == wanted or before.get(output) != wanted:
            continue
        say(
            f"The {process} was rolled back to revision {revision(service.task_definition)}: "
            f"deploying the code's own again, {revision(wanted)}"
        )
        deploy(aws, service, taskDefinition=wanted)
        await_steady(aws, say, clock, [process])
