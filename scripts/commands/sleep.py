"""`moor sleep` and `moor wake`: a stage that costs little while nobody needs it."""

from dataclasses import dataclass
from functools import partial

from scripts.aws import Aws, connect
from scripts.clock import Clock
from scripts.ecs.alarms import find_alarms, sections_at_rest, switch
from scripts.ecs.autoscaling import Autoscaling, Bounds, drop_revert, find_autoscaling, set_bounds
from scripts.ecs.services import Service, find_services, set_count
from scripts.ecs.sleep_state import NOTHING, TAG, Memory, recall, to_remember
from scripts.ecs.targets import await_healthy
from scripts.ecs.tasks import find_protected, find_tasks
from scripts.ecs.waiting import count_missing, wait
from scripts.errors import NotFoundError, RefusedError
from scripts.processes import API, deployed, forwards
from scripts.secrets.kept import check_start
from scripts.terminal.answer import say
from scripts.terminal.options import DEFAULT_STAGE, StageOption, YesOption, confirm
from scripts.terminal.progress import Progress, steps_reported
from stacks.config.stage import Stage


@dataclass(frozen=True)
class Steps:
    """The changes to one ECS service, in this order; None or False where there is none."""

    remember: Memory | None = None
    drop_revert: bool = False
    bounds: Bounds | None = None
    count: int | None = None
    forget: bool = False


def steps_to_sleep(service: Service, scaling: Autoscaling | None) -> Steps:
    """The steps that put the ECS service to sleep; they remember its state first."""
    memory = to_remember(service, scaling)
    return Steps(
        remember=memory if memory != recall(service) else None,
        drop_revert=bool(scaling and scaling.revert),
        bounds=NOTHING if scaling and scaling.bounds != NOTHING else None,
        count=0 if service.desired else None,
    )


def steps_to_wake(service: Service, scaling: Autoscaling | None) -> Steps:
    """The steps that wake the ECS service. They forget its state last, so that an interrupted
    `moor wake` can be repeated."""
    memory = recall(service)
    if memory is None:
        return Steps()
    changed = scaling is not None and scaling.bounds != memory.bounds
    return Steps(
        bounds=memory.bounds if changed else None,
        count=memory.count if service.desired != memory.count else None,
        forget=True,
    )


def sleep(yes: YesOption = False, stage: StageOption = DEFAULT_STAGE) -> None:
    """Stop API and workers until `moor wake`; data and addresses stay."""
    run_sleep(connect(stage), Clock(), yes=yes)


def wake(yes: YesOption = False, stage: StageOption = DEFAULT_STAGE) -> None:
    """Start API and workers with the counts and bounds that they had before `moor sleep`."""
    run_wake(connect(stage), Clock(), yes=yes)


def run_sleep(aws: Aws, clock: Clock, *, yes: bool = False) -> None:
    """Switch the alarms off, scale all ECS services to zero and wait until nothing runs."""
    services, scalings = find_services(aws), find_autoscaling(aws, clock.now())
    confirm(aws.target, "stop the API and every worker", yes)
    _refuse_protected(aws, services)
    say(f"{aws.target}: going to sleep")
    with steps_reported(f"`{aws.target.command('sleep')}` again does the rest.") as progress:
        if switched := switch(aws, find_alarms(aws), on=False):
            progress.note(f"{switched} alarms are off")
        # The API stops first, so that no new job arrives.
        for process in (to_sleep := deployed(aws)):
            steps = steps_to_sleep(services[process], scalings.get(process))
            _apply(aws, services[process], steps, progress)
        wait(aws, dict.fromkeys(to_sleep, partial(count_missing, NOTHING)), clock)
    say(f"{aws.target} sleeps.")
    if not aws.target.is_local:
        say(database_pause(aws.target.stage))
    if counts := _desired_counts(aws.target.stage):
        say(
            f"A `{aws.target.deploy_command}` with new code starts ECS tasks again, because "
            f"stages.toml has {counts}."
        )
    say(f"`{aws.target.command('wake')}` wakes it.")


def run_wake(aws: Aws, clock: Clock, *, yes: bool = False) -> None:
    """Scale all ECS services up again, wait until they run and the API gets requests, and switch
    the alarms on. Raises `NotFoundError` where nothing runs and no count is remembered."""
    services, scalings = find_services(aws), find_autoscaling(aws, clock.now())
    api, to_wake = services[API], forwards(aws)
    if not any(recall(service) for service in services.values()):
        if any(service.desired for service in services.values()):
            if api.desired:
                await_healthy(aws, api, clock)
            least = {p: _least(services[p].desired, scalings.get(p)) for p in to_wake}
            _say_awake(aws, _switch_alarms_on(aws, least))
            return
        raise NotFoundError(
            f"{aws.target} was not put to sleep by `moor sleep`, so its counts are not known",
            f"`{aws.target.command('scale api 1')}` starts the API.",
        )
    steps = {p: steps_to_wake(services[p], scalings.get(p)) for p in to_wake}
    check_start(aws, {p: services[p].task_definition for p in to_wake if steps[p].count})
    confirm(aws.target, "start the API and the workers", yes)
    say(f"{aws.target}: waking up")
    counts, allowed = {}, {}
    with steps_reported(f"`{aws.target.command('wake')}` again does the rest.") as progress:
        # The API starts last, so that a worker takes its jobs.
        for process in to_wake:
            service, memory = services[process], recall(services[process])
            _apply(aws, service, steps[process], progress)
            count = counts[process] = memory.count if memory else service.desired
            allowed[process] = (memory and memory.bounds) or Bounds(count, count)
        wait(aws, {p: partial(count_missing, allowed[p]) for p in to_wake}, clock)
        if counts[API]:
            await_healthy(aws, api, clock)
        # Last, so that no alarm rings for a start that is not over.
        switched = _switch_alarms_on(aws, {p: allowed[p].minimum for p in to_wake})
    _say_awake(aws, switched)


def _least(count: int, scaling: Autoscaling | None) -> int:
    return scaling.bounds.minimum if scaling else count


def _switch_alarms_on(aws: Aws, least: dict[str, int]) -> int:
    """Switch on the alarms that need not ring with these minimum counts; how many were off."""
    at_rest = sections_at_rest(aws.target.stage, least)
    alarms = [alarm for alarm in find_alarms(aws) if alarm.section not in at_rest]
    return switch(aws, alarms, on=True)


def _say_awake(aws: Aws, switched: int) -> None:
    if switched:
        say(f"  {switched} alarms are on again")
    say(f"{aws.target} is awake.")


def _apply(aws: Aws, service: Service, steps: Steps, progress: Progress) -> None:
    process = service.process
    if steps.remember:
        tags = [{"key": TAG, "value": str(steps.remember)}]
        aws.call("ecs", "tag_resource", resourceArn=service.arn, tags=tags)
        progress.note(f"{process}: remembered {steps.remember}")
    if steps.drop_revert:
        drop_revert(aws, process)
        progress.note(f"{process}: the temporary scale has ended")
    if steps.bounds:
        set_bounds(aws, process, steps.bounds)
        progress.note(f"{process}: bounds are {steps.bounds}")
    if steps.count is not None:
        set_count(aws, service, steps.count)
        progress.note(f"{process}: the count is to be {steps.count}, it was {service.desired}")
    if steps.forget:
        aws.call("ecs", "untag_resource", resourceArn=service.arn, tagKeys=[TAG])


def _refuse_protected(aws: Aws, services: dict[str, Service]) -> None:
    arns = [task.arn for service in services.values() for task in find_tasks(aws, service)]
    if protected := find_protected(aws, arns):
        raise RefusedError(
            f"{len(protected)} ECS tasks are protected, because they run long jobs",
            "Wait until they are done; ECS would not stop them.",
        )


def database_pause(stage: Stage) -> str:
    """Says whether the database pauses, too."""
    if stage.database_min_acu == 0:
        return "The database pauses by itself when nothing is connected any more."
    return (
        f"The database stays at {stage.database_min_acu:g} ACU: it can pause only with "
        "database_min_acu = 0 in stages.toml."
    )


def _desired_counts(stage: Stage) -> str:
    return ", ".join(
        f"{each.key('desired_count')} = {each.desired_count}"
        for each in stage.processes
        if each.desired_count
    )
