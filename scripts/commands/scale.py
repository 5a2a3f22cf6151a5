"""`moor scale`: change the number of ECS tasks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

import typer

from scripts.aws import Aws, connect
from scripts.clock import Clock
from scripts.ecs.alarms import find_alarms, sections_at_rest, switch
from scripts.ecs.autoscaling import (
    Autoscaling,
    Bounds,
    Revert,
    drop_revert,
    find_autoscaling,
    set_bounds,
    set_revert,
)
from scripts.ecs.services import Service, find_services, set_count
from scripts.ecs.sleep_state import is_asleep
from scripts.ecs.tasks import find_protected, find_tasks
from scripts.ecs.waiting import count_missing, wait
from scripts.errors import OperatorError, RefusedError, UsageError
from scripts.processes import find_process
from scripts.secrets.kept import check_start
from scripts.terminal.answer import say
from scripts.terminal.options import (
    DEFAULT_STAGE,
    ProcessArgument,
    StageOption,
    YesOption,
    confirm,
    duration_value,
)
from scripts.terminal.progress import Progress, steps_reported
from stacks.config.connections import CONNECTION_SHARE, connections_wanted, max_connections
from stacks.config.processes import WORKERS, EcsProcess
from stacks.config.read_stage import read_stage
from stacks.config.stage import Stage
from stacks.config.values import ConfigError

SHOWN = 3  # how many protected ECS tasks an error names


@dataclass(frozen=True)
class Wanted:
    """The options of the command; None where one was not given."""

    count: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    duration: timedelta | None = None


@dataclass(frozen=True)
class Plan:
    """The count and bounds after the command; `bounds` is None without an autoscaler."""

    count: int
    bounds: Bounds | None


def plan(wanted: Wanted, service: Service, scaling: Autoscaling | None) -> Plan:
    """A count alone becomes both bounds too, so that no scaling policy changes it.

    Raises `UsageError` for options that do not fit together, `OperatorError` for bounds without an
    autoscaler.
    """
    ends = (wanted.minimum, wanted.maximum)
    if wanted.count is None and ends == (None, None):
        raise UsageError(
            f"what should the {service.process} be scaled to?",
            f"`moor scale {service.process} 3`, or --min and --max.",
        )
    if scaling is None:
        if wanted.count is None or ends != (None, None) or wanted.duration:
            raise OperatorError(
                f"the {service.process} has no autoscaler, so there are no bounds to change",
                f"`moor scale {service.process} 3` sets its count.",
            )
        return Plan(wanted.count, None)
    before = scaling.bounds
    if wanted.count is None:
        minimum = before.minimum if wanted.minimum is None else wanted.minimum
        maximum = before.maximum if wanted.maximum is None else wanted.maximum
        # One bound alone moves the other where they would cross.
        minimum = minimum if wanted.minimum is not None else min(minimum, maximum)
        maximum = maximum if wanted.maximum is not None else max(minimum, maximum)
    else:
        minimum = wanted.count if wanted.minimum is None else wanted.minimum
        maximum = wanted.count if wanted.maximum is None else wanted.maximum
    if minimum > maximum or (wanted.count is not None and not minimum <= wanted.count <= maximum):
        count = "" if wanted.count is None else f" and count {wanted.count}"
        raise UsageError(
            f"minimum {minimum}, maximum {maximum}{count} do not fit together",
            "The count is from the minimum to the maximum.",
        )
    bounds = Bounds(minimum, maximum)
    return Plan(bounds.clamp(service.desired if wanted.count is None else wanted.count), bounds)


def scale(
    process: ProcessArgument,
    count: Annotated[int | None, typer.Argument(min=0, max=5000, help="How many.")] = None,
    *,
    minimum: Annotated[
        int | None, typer.Option("--min", min=0, max=5000, help="The autoscaler's lower bound.")
    ] = None,
    maximum: Annotated[
        int | None, typer.Option("--max", min=0, max=5000, help="The autoscaler's upper bound.")
    ] = None,
    duration: Annotated[
        timedelta | None,
        typer.Option(
            "--for", parser=duration_value, metavar="2h", help="Restore the bounds after this time."
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for ECS.")] = False,
    yes: YesOption = False,
    stage: StageOption = DEFAULT_STAGE,
) -> None:
    """Change the number of ECS tasks. A count without bounds stays until the next `moor scale`.

    Examples: `moor scale worker 3`, `moor scale worker-reports --min 0 --max 5`.
    """
    aws = connect(stage)
    wanted = Wanted(count, minimum, maximum, duration)
    run(aws, process, wanted, Clock(), yes=yes, is_awaited=not no_wait)


def run(
    aws: Aws,
    process: str,
    wanted: Wanted,
    clock: Clock,
    *,
    yes: bool = False,
    is_awaited: bool = True,
) -> None:
    """Scale, wait for the ECS tasks, and say what the next deploy does with the new count."""
    find_process(aws, process)
    services, scalings = find_services(aws), find_autoscaling(aws, clock.now())
    service, scaling = services[process], scalings.get(process)
    if is_asleep(service, scaling):
        raise RefusedError(f"{aws.target} sleeps", f"`{aws.target.command('wake')}` wakes it.")
    goal = plan(wanted, service, scaling)
    if goal.count < max(service.desired, service.running):
        arns = [task.arn for task in find_tasks(aws, service)]
        _refuse_below(goal.count, process, [arn for arn, _ in find_protected(aws, arns)])
    if goal.count > service.desired:
        check_start(aws, {process: service.task_definition})
    now = f"{service.desired}, bounds {scaling.bounds}" if scaling else f"{service.desired}"
    then = f"{goal.count}, bounds {goal.bounds}" if goal.bounds else f"{goal.count}"
    confirm(aws.target, f"scale the {process} from {now} to {then}", yes)
    if warning := connections_warning(aws.target.stage, process, goal):
        say(f"warning: {warning}")
    say(f"{aws.target}: {process} from {now} to {then}")
    least = {
        each: scalings[each].bounds.minimum if each in scalings else services[each].desired
        for each in services
    }
    before = sections_at_rest(aws.target.stage, least)
    least[process] = goal.bounds.minimum if goal.bounds else goal.count
    after = sections_at_rest(aws.target.stage, least)
    with steps_reported("The same command again does the rest.") as progress:
        _switch_alarms(aws, after, progress, on=False)
        until = clock.now() + wanted.duration if wanted.duration else None
        _apply(aws, service, scaling, goal, until=until, progress=progress)
        if is_awaited:
            allowed = goal.bounds or Bounds(goal.count, goal.count)
            wait(aws, {process: partial(count_missing, allowed)}, clock)
        _switch_alarms(aws, before - after, progress, on=True)
    if wanted.duration and after - before:
        say(
            "The alarms stay off when the bounds come back: "
            f"`{aws.target.command('wake')}` switches them on again."
        )
    for line in afterwards(aws, process, goal, scaling, is_temporary=wanted.duration is not None):
        say(line)


def _switch_alarms(aws: Aws, sections: set[str], progress: Progress, *, on: bool) -> None:
    """Switch the alarms of these sections of the runbook.

    They are off while the stage is to have no ECS tasks, because they ring where there is none.
    """
    if not sections:
        return
    alarms = [alarm for alarm in find_alarms(aws) if alarm.section in sections]
    if switch(aws, alarms, on=on):
        names = ", ".join(sorted(alarm.section for alarm in alarms))
        progress.note(f"alarms are {'on again' if on else 'off'}: {names}")


def _refuse_below(count: int, process: str, protected: list[str]) -> None:
    """Raises `RefusedError` where more ECS tasks than `count` are protected. ECS would not stop
    them, but would refuse to extend their protection."""
    if len(protected) <= count:
        return
    names = [arn.rsplit("/", 1)[-1] for arn in protected]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise RefusedError(
        f"{len(names)} ECS tasks of the {process} are protected, because they run long jobs: "
        f"{', '.join(names[:SHOWN])}{more}",
        f"Wait until they are done, or scale to {len(names)} or more.",
    )


def _apply(
    aws: Aws,
    service: Service,
    scaling: Autoscaling | None,
    goal: Plan,
    *,
    until: datetime | None,
    progress: Progress,
) -> None:
    """Make the changes in an order that leaves a valid state after each step: first the revert,
    then the bounds, then the count, which the old bounds might not allow."""
    process = service.process
    if scaling and until:
        before = scaling.revert.bounds if scaling.revert else scaling.bounds
        set_revert(aws, process, Revert(until, before))
        progress.note(f"the bounds {before} come back at {until:%Y-%m-%d %H:%M:%S} UTC")
    if scaling and goal.bounds and goal.bounds != scaling.bounds:
        set_bounds(aws, process, goal.bounds)
        progress.note(f"bounds are {goal.bounds}, they were {scaling.bounds}")
    if goal.count != service.desired:
        set_count(aws, service, goal.count)
        progress.note(f"the count is to be {goal.count}, it was {service.desired}")
    if scaling and scaling.revert and not until:
        drop_revert(aws, process)
        progress.note(f"the bounds {scaling.revert.bounds} do not come back by themselves any more")


def connections_warning(stage: Stage, process: str, goal: Plan) -> str | None:
    """What the check of connections at synth would say about these counts, or None."""
    most = goal.bounds.maximum if goal.bounds else goal.count
    ecs_process = stage.process(process)
    if ecs_process is None or most <= ecs_process.max_count:
        return None
    changed = stage.changed(ecs_process, max_count=most)
    wanted, offered = connections_wanted(changed.processes), max_connections(changed)
    if wanted <= CONNECTION_SHARE * offered:
        return None
    return (
        f"with {most} ECS tasks of the {process} a deploy may need {wanted} connections, and the "
        f"database allows {offered}. A higher database_max_acu in stages.toml allows more."
    )


def afterwards(
    aws: Aws,
    process: str,
    goal: Plan,
    scaling: Autoscaling | None,
    *,
    is_temporary: bool,
) -> list[str]:
    """The lines that say what the next deploy does, how to keep the change, and how to undo it."""
    stage, target = aws.target.stage, aws.target
    ecs_process = stage.process(process)
    if ecs_process is None:
        return [f"The next `{target.deploy_command}` removes it: stages.toml has no such pool."]
    given = ecs_process.desired_count
    count = (
        f"sets the count back to {given} ({ecs_process.key('desired_count')} in stages.toml)"
        if given is not None
        else "does not change the count"
    )
    lines = [f"The next `{target.deploy_command}` {count}."]
    if goal.bounds is None or scaling is None:
        return lines
    config = Bounds(ecs_process.min_count, ecs_process.max_count)
    if not is_temporary:
        lines[0] += " The bounds stay until stages.toml changes them."
    if goal.bounds == config:
        return lines
    if not is_temporary:
        lines.append(_how_to_keep(stage, ecs_process, goal.bounds, goal.count))
    back = f"scale {process} --min {config.minimum} --max {config.maximum}"
    lines.append(f"Back to the autoscaler, within stages.toml's bounds: `{target.command(back)}`.")
    return lines


def _how_to_keep(stage: Stage, ecs_process: EcsProcess, bounds: Bounds, count: int) -> str:
    keys = {"min_count": bounds.minimum, "max_count": bounds.maximum}
    if ecs_process.desired_count is not None:
        keys["desired_count"] = count
    try:
        read_stage(stage.stage, {ecs_process.key(key): value for key, value in keys.items()})
    except ConfigError as error:
        return f"stages.toml cannot keep this: {'; '.join(error.problems)}."
    table = f"{stage.stage}.{WORKERS}.{ecs_process.pool}" if ecs_process.pool else stage.stage
    text = ", ".join(
        f"{key if ecs_process.pool else ecs_process.key(key)} = {value}"
        for key, value in keys.items()
    )
    return f"To keep it, write in stages.toml under [{table}]: {text}."
