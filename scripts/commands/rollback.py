"""`moor rollback`: bring API and workers together to an earlier release."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from scripts.aws import Aws, connect
from scripts.clock import Clock
from scripts.ecs.releases import TAG_CHARACTERS, Release, choose, find_releases, template_of
from scripts.ecs.rollouts import deploy
from scripts.ecs.services import Service, find_services, revision
from scripts.ecs.waiting import rollout_missing, wait
from scripts.processes import forwards
from scripts.secrets.kept import check_start
from scripts.terminal.answer import say
from scripts.terminal.options import DEFAULT_STAGE, StageOption, YesOption, confirm
from scripts.terminal.progress import steps_reported


def rollback(
    release: Annotated[
        str | None,
        typer.Argument(help="A name from `moor deployments`; without it, the release before."),
    ] = None,
    yes: YesOption = False,
    stage: StageOption = DEFAULT_STAGE,
) -> None:
    """Go back to an earlier release, or forward again. The database's schema stays as it is."""
    run(connect(stage), release, Clock(), yes=yes)


def run(aws: Aws, wanted: str | None, clock: Clock, *, yes: bool = False) -> None:
    """Move one process after the other to the release. After a failure, says which are done."""
    services, template = find_services(aws), template_of(aws)
    releases = find_releases(aws, services, template)
    running = {process: each.task_definition for process, each in services.items()}
    goal = choose(releases, running, wanted)
    moves = order(services, goal, forwards(aws))
    if not moves:
        say(f"{aws.target} runs release {goal.name} already.")
        return
    check_start(aws, {process: goal.revisions[process].arn for process in moves})
    image = goal.image_tag[:TAG_CHARACTERS]
    confirm(aws.target, f"run release {goal.name} (image {image})", yes)
    say(f"{aws.target}: to release {goal.name}, image {image}, of {goal.registered:%Y-%m-%d %H:%M}")
    again = f"`{aws.target.command(f'rollback {goal.name}')}` does the rest."
    with steps_reported(again) as progress:
        for process in moves:
            arn = goal.revisions[process].arn
            begun = deploy(aws, services[process], taskDefinition=arn)
            progress.note(f"the {process} goes to revision {revision(arn)}")
            wait(aws, {process: rollout_missing(begun)}, clock)
            progress.done[-1] = f"the {process} runs revision {revision(arn)}"
    for process in services.keys() - goal.revisions.keys():
        number = revision(services[process].task_definition)
        say(f"The {process} keeps revision {number}: release {goal.name} did not have it yet.")
    for line in afterwards(aws, goal, template):
        say(line)


def order(services: Mapping[str, Service], goal: Release, forwards: Sequence[str]) -> list[str]:
    """The processes that have to move, in order. New jobs must not meet an old worker, so the
    workers go first on the way forward and last on the way back."""
    wanted = goal.revisions
    is_back = all(
        wanted[process].number <= revision(each.task_definition)
        for process, each in services.items()
        if process in wanted
    )
    return [
        process
        for process in (forwards[::-1] if is_back else forwards)
        if process in wanted and services[process].task_definition != wanted[process].arn
    ]


def afterwards(aws: Aws, goal: Release, template: Mapping[str, str]) -> list[str]:
    """The lines that say what the next deploy does."""
    if goal.is_template:
        return [f"{aws.target} runs release {goal.name}, as the stack's template says."]
    says = " and ".join(f"{process} {revision(arn)}" for process, arn in template.items())
    runs = f"{aws.target} runs release {goal.name}; the stack's template still says {says}."
    if aws.target.is_local:
        return [runs, f"`{aws.target.deploy_command}` goes back to that, or on to newer code."]
    return [
        runs,
        f"A `{aws.target.deploy_command}` that changes the ECS services or brings new code moves "
        "them to its own revisions. One of the same code sees no difference and changes nothing.",
    ]
