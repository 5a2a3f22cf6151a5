"""Brings the ECS services back to the stack's own release, where a deploy saw nothing to change.

After `moor rollback`, or when ECS rolls a deployment back, an ECS service runs another release than
the stack says. A deploy of the same code changes nothing in the stack, and so does not mend it.
"""

from collections.abc import Callable, Mapping

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.rollouts import deploy
from scripts.ecs.services import find_services, revision
from scripts.ecs.steady import await_steady
from scripts.errors import NotDeployedError
from scripts.processes import forwards, task_definition_output


def outputs_before(aws: Aws) -> Mapping[str, str]:
    """The outputs of the stacks before a deploy; empty before the first."""
    try:
        return aws.outputs
    except NotDeployedError:
        return {}


def bring_forward(
    aws: Aws, before: Mapping[str, str], say: Callable[[str], None], clock: Clock
) -> None:
    """Deploy the stack's task definition to each ECS service that runs another, one after the
    other. `before` are the outputs before the deploy: where it changed one, it has already begun
    that deployment.

    Raises `RolledBackError` or `OverdueError`, as `await_steady` does.
    """
    services = find_services(aws)
    for process in forwards(aws):
        output, service = task_definition_output(process), services[process]
        wanted = aws.output(output)
        if service.task_definition == wanted or before.get(output) != wanted:
            continue
        say(
            f"The {process} was rolled back to revision {revision(service.task_definition)}: "
            f"deploying the code's own again, {revision(wanted)}"
        )
        deploy(aws, service, taskDefinition=wanted)
        await_steady(aws, say, clock, [process])
