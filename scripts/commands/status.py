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
from scripts.ecs.services import describe_services_call, every
from scripts.ecs.targets import find_targets
from scripts.ecs.tasks import describe_tasks, find_tasks
from scripts.errors import NotFoundError, OperatorError
from scripts.jobs.queue_counts import read_queues
from scripts.processes import API, WORKER, deployed, pool_of, task_definition_output, workers
from scripts.status.health import (
    ACU,
    SHOWN,
    Health,
    QueueHealth,
    judge_service,
    last_stopped,
    metric_id,
    read_metrics,
    warn,
    warn_of_alarms,
    warn_of_iam,
)
from scripts.status.screen import draw
from scripts.terminal.answer import print_json, print_screen, redrawn
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption
from service.contract import (
    METRIC_NAMESPACE,
    METRIC_SECONDS,
    QUEUE_NAME,
    Metric,
    MetricDimension,
    waiting_dimension,
    worker_dimension,
)
from stacks.config.naming import Output

WATCH_SECONDS = 2.0
PERIODS = 10  # CloudWatch may show a value some minutes late


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
    services = every(aws, ecs)
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
            templates.get(task_definition_output(process)),
        )
        for process in deployed(aws)
        if (service := services[process])
    ]
    queues, acu = read_metrics(metrics, workers(aws))
    queue = queues.pop(WORKER)
    warnings = warn(aws.target, judged)
    if queue is None and services[API].running:
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
    if aws.target.home:
        warnings += warn_of_iam(aws.target.home, now)
    return Health(
        stage=aws.target.stage.stage,
        at=now,
        services=tuple(judged),
        targets=tuple(find_targets(aws, services[API])),
        queue=queue,
        pools=queues,
        acu=acu,
        alarms=tuple(alarms),
        stopped=tuple(last_stopped(describe_tasks(aws, arns))),
        warnings=tuple(warnings),
    )


def metrics_wanted(aws: Aws, clock: Clock) -> dict[str, Any]:
    """The arguments of one `get_metric_data` for the stage's metrics, newest first."""
    seconds, names = _period(aws), aws.names
    wanted: list[tuple[str, str, str, dict[Any, str]]] = []
    for process in workers(aws):
        pool, queues = pool_of(process), aws.target.stage.worker_pools[0].queues
        for metric in SHOWN:
            of_workers = metric is Metric.WORKERS_ALIVE
            own = worker_dimension(pool) if of_workers else waiting_dimension(pool, queues)
            stage = {MetricDimension.APP: names.app, MetricDimension.STAGE: names.stage}
            dimensions = {**stage, own[0]: own[1]}
            wanted.append((metric_id(metric, process), METRIC_NAMESPACE, metric, dimensions))
    database = {"DBClusterIdentifier": names.database}
    wanted.append((metric_id(ACU), "AWS/RDS", "ServerlessDatabaseCapacity", database))
    return {
        "MetricDataQueries": [
            {
                "Id": id,
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
