"""`moor status`: the state of a stage on one screen."""

import sys
from datetime import timedelta
from typing import Annotated, Any

import typer

from scripts.api import Api
from scripts.aws import Aws, connect
from scripts.clock import Clock
from scripts.ecs.alarms import find_alarms
from scripts.ecs.autoscaling import autoscaling_calls, read_answers
from scripts.ecs.services import both, describe_services_call
from scripts.ecs.targets import find_targets
from scripts.ecs.tasks import describe_tasks, find_tasks
from scripts.errors import NotFoundError, OperatorError
from scripts.jobs.queue_counts import read_queues
from scripts.status.health import (
    ACU,
    Health,
    QueueHealth,
    judge_service,
    last_stopped,
    read_metrics,
    warn,
    warn_of_alarms,
)
from scripts.status.screen import draw
from scripts.terminal.answer import print_json, print_screen, redrawn
from scripts.terminal.options import DEFAULT_STAGE, SERVICES, JsonOption, StageOption
from service.contract import (
    METRIC_NAMESPACE,
    METRIC_SECONDS,
    QUEUE_NAME,
    Metric,
    MetricDimension,
    ProcessName,
)
from stacks.config.naming import Output

WATCH_SECONDS = 2.0
PERIODS = 10  # CloudWatch may show a value some minutes late
TEMPLATES = {
    ProcessName.API: Output.API_TASK_DEFINITION,
    ProcessName.WORKER: Output.WORKER_TASK_DEFINITION,
}


def status(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Repeat every two seconds, until Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
    stage: StageOption = DEFAULT_STAGE,
) -> None:
    """Counts, deployments, health, backlog and stopped ECS tasks on one screen."""
    aws, clock = connect(stage), Clock()
    if not watch:
        found = find_health(aws, clock)
        return print_json(found) if as_json else print_screen(draw(found))
    while as_json or not sys.stdout.isatty():
        found = find_health(aws, clock)
        print_json(found) if as_json else print_screen(draw(found))
        clock.sleep(WATCH_SECONDS)
    return follow(aws, clock)


def follow(aws: Aws, clock: Clock) -> None:
    """Redraw the screen until Ctrl-C. A failed call is shown instead, and then tried again."""
    with redrawn(draw(find_health(aws, clock))) as show:
        while True:
            clock.sleep(WATCH_SECONDS)
            try:
                show(draw(find_health(aws, clock)))
            except OperatorError as error:
                show(f"{error}\n{error.hint}")


def find_health(aws: Aws, clock: Clock) -> Health:
    """Read the state of the stage, most of it with calls at the same time."""
    now, cluster = clock.now(), aws.names.cluster
    stopped = {"cluster": cluster, "desiredStatus": "STOPPED"}
    try:
        ecs, ended, targets, actions, metrics, stack = aws.together(
            describe_services_call(aws),
            ("ecs", "list_tasks", stopped),
            *autoscaling_calls(aws),
            ("cloudwatch", "get_metric_data", metrics_wanted(aws, clock)),
            ("cloudformation", "describe_stacks", {"StackName": aws.names.service_stack}),
        )
    except NotFoundError as error:
        raise aws.not_deployed(str(error)) from None
    services = both(aws, ecs)
    scalings = read_answers(aws, targets, actions, now)
    templates = {each["OutputKey"]: each["OutputValue"] for each in stack["Stacks"][0]["Outputs"]}
    arns = ended["taskArns"]
    if ended.get("nextToken"):
        arns = list(aws.pages("ecs", "list_tasks", "taskArns", **stopped))
    judged = [
        judge_service(
            aws.target,
            service,
            scalings.get(process),
            find_tasks(aws, service) if service.pending else (),
            templates.get(TEMPLATES[process]),
        )
        for process in SERVICES
        if (service := services[process])
    ]
    queue, acu = read_metrics(metrics)
    warnings = warn(aws.target, judged)
    if queue is None and services[ProcessName.API].running:
        try:
            queue = _queue_from_api(aws)
        except OperatorError as error:
            warnings.append(f"the queue's state is unknown: {error}")
    alarms = []
    try:
        alarms = find_alarms(aws, templates.get(Output.ALARM_TOPIC))
        warnings += warn_of_alarms(aws.target, judged, alarms)
    except OperatorError as error:
        warnings.append(f"the state of the alarms is unknown: {error}")
    return Health(
        stage=aws.target.stage.stage,
        at=now,
        services=tuple(judged),
        targets=tuple(find_targets(aws, services[ProcessName.API])),
        queue=queue,
        acu=acu,
        alarms=tuple(alarms),
        stopped=tuple(last_stopped(describe_tasks(aws, arns))),
        warnings=tuple(warnings),
    )


def metrics_wanted(aws: Aws, clock: Clock) -> dict[str, Any]:
    """The arguments of one `get_metric_data` for the stage's metrics, newest first."""
    seconds = _period(aws)
    names = aws.names
    dimensions = {
        MetricDimension.APP: names.app,
        MetricDimension.STAGE: names.stage,
        MetricDimension.QUEUE: QUEUE_NAME,
    }
    wanted: list[tuple[str, str, str, dict[Any, str]]] = [
        (metric, METRIC_NAMESPACE, metric, dimensions)
        for metric in (Metric.BACKLOG, Metric.OLDEST_JOB_AGE_SECONDS, Metric.WORKERS_ALIVE)
    ]
    database = {"DBClusterIdentifier": names.database}
    wanted.append((ACU, "AWS/RDS", "ServerlessDatabaseCapacity", database))
    return {
        "MetricDataQueries": [
            {
                "Id": id[0].lower() + id[1:],
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": str(metric),
                        "Dimensions": [
                            {"Name": str(name), "Value": value} for name, value in of.items()
                        ],
                    },
                    "Period": seconds,
                    "Stat": "Maximum",
                },
            }
            for id, namespace, metric, of in wanted
        ],
        "StartTime": clock.now() - timedelta(seconds=PERIODS * seconds),
        "EndTime": clock.now() + timedelta(seconds=1),
        "ScanBy": "TimestampDescending",
    }


def _period(aws: Aws) -> int:
    if not aws.target.is_local:
        return METRIC_SECONDS
    from scripts.twin.client.state import MINUTE_SECONDS

    return MINUTE_SECONDS


def _queue_from_api(aws: Aws) -> QueueHealth | None:
    """The default queue's numbers from the API, for a stage without metrics in CloudWatch yet."""
    for queue in read_queues(Api(aws).get("queues")):
        if queue.name == QUEUE_NAME:
            return QueueHealth(queue.queued, queue.oldest_due_seconds, queue.workers, None)
    return None
