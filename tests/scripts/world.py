"""A stage on moto, whose ECS goes one step on whenever a command waits for it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.ecs.models import ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.moto_api import state_manager

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.autoscaling import DIMENSION, NAMESPACE, Bounds
from scripts.processes import container_of, task_definition_output
from scripts.target import Target
from scripts.terminal.options import SERVICES
from scripts.twin.ecs import moto_ecs
from scripts.twin.ecs.deployment import COMPLETED, FAILED, roll_back
from scripts.twin.ecs.task_record import RUNNING, STOPPED, ask_to_stop, protect
from service.contract import ProcessName
from stacks.config.naming import Output, runbook_section
from stacks.config.read_stage import read_stage
from stacks.config.stage import Stage
from tests.twin.stand import client

ACCOUNT, REGION = "123456789012", "us-east-1"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"
ALARMS = ("ApiTasksMissing", "WorkerTasksMissing", "NoMetrics", "NoTarget", "ApiErrors")
SLEEPS_MAX = 1000  # no limit of a command has as many polls
STEPS = ["PROVISIONING", "PENDING", "ACTIVATING", RUNNING]
FAILURES = 3
NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)


@dataclass
class World:
    """`aws` is what the commands are given. Time passes when they sleep, and only then."""

    stage: Stage
    aws: Aws
    now: datetime = NOW
    broken: set[str] = field(default_factory=set)  # task definitions whose containers end with 1
    interrupt_after: int | None = None  # so many sleeps, Ctrl-C is pressed
    slept: int = 0
    pace: int = 1  # so much longer is each sleep, to be at the end of a limit sooner

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        if self.interrupt_after is not None:
            self.interrupt_after -= 1
            if self.interrupt_after < 0:
                raise KeyboardInterrupt
        self.slept += 1
        assert self.slept < SLEEPS_MAX, "a command waits for what never comes"
        self.now += timedelta(seconds=seconds * self.pace)
        self.tick()

    @property
    def backend(self) -> Any:
        return ecs_backends[ACCOUNT][REGION]

    def service(self, process: str) -> Any:
        names = self.stage.names
        return self.backend.services[f"{names.cluster}:{names.service(process)}"]

    def tasks(self, process: str, *, status: str = RUNNING) -> list[Any]:
        group = f"service:{self.stage.names.service(process)}"
        everything = self.backend.tasks.get(self.stage.names.cluster, {}).values()
        return [one for one in everything if one.group == group and one.last_status == status]

    def bounds(self, process: str) -> Bounds | None:
        names = self.stage.names
        found = boto3.client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace=NAMESPACE,
            ResourceIds=[f"service/{names.cluster}/{names.service(process)}"],
        )["ScalableTargets"]
        return Bounds(found[0]["MinCapacity"], found[0]["MaxCapacity"]) if found else None

    def reverts(self) -> list[dict[str, Any]]:
        client = boto3.client("application-autoscaling")
        found: list[Any] = list(
            client.describe_scheduled_actions(ServiceNamespace=NAMESPACE)["ScheduledActions"]
        )
        return found

    def settle(self) -> None:
        """Until ECS has nothing to do."""
        for _ in range(12):
            self.tick()

    def tick(self) -> None:
        for process in (*SERVICES, *(pool.name for pool in self.stage.pools)):
            self._go_on(self.service(process))

    def _go_on(self, service: Any) -> None:
        group = f"service:{service.name}"
        everything = self.backend.tasks.setdefault(self.stage.names.cluster, {})
        mine = [each for each in everything.values() if each.group == group]
        primary = service.deployments[0]
        primary.desired_count = service.desired_count
        for task in mine:
            self._move(task, primary)
        if primary.failed_tasks >= FAILURES and primary.rollout_state != FAILED:
            primary.set_state(FAILED, "ECS deployment circuit breaker: tasks failed to start.")
            roll_back(service, primary)
            primary = service.deployments[0]
        current = [each for each in mine if each.started_by == primary.id and is_wanted(each)]
        for task in current[service.desired_count :]:
            ask_to_stop(task, "ServiceSchedulerInitiated", "Scaling activity initiated by …")
        for _ in range(service.desired_count - len(current)):
            self.backend.run_for(service, primary)
        for deployment in service.deployments:
            of_it = [each for each in mine if each.started_by == deployment.id]
            running = [each for each in of_it if each.last_status == RUNNING]
            starting = [each for each in of_it if each.last_status in STEPS[:-1]]
            deployment.running_count = len(running)
            deployment.pending_count = len(starting)
        if primary.running_count == service.desired_count and primary.rollout_state != FAILED:
            primary.set_state(COMPLETED, f"ECS deployment {primary.id} completed.")
            for task in mine:
                if task.started_by != primary.id:
                    ask_to_stop(task, "ServiceSchedulerInitiated", "Deployment")
            service.deployments = [primary]
        service.running_count = sum(each.running_count for each in service.deployments)
        service.pending_count = sum(each.pending_count for each in service.deployments)

    def _move(self, task: Any, primary: Any) -> None:
        if task.last_status == STOPPED:
            return
        if task.desired_status == STOPPED:
            end(task, 0)
        elif task.last_status != RUNNING:
            task.last_status = STEPS[STEPS.index(task.last_status) + 1]
            if task.last_status == RUNNING and task.task_definition_arn in self.broken:
                ask_to_stop(task, "EssentialContainerExited", "Essential container in task exited")
                end(task, 1)
                primary.failed_tasks += 1


def is_wanted(task: Any) -> bool:
    return bool(task.desired_status == RUNNING)


def end(task: Any, code: int) -> None:
    task.last_status, task.stopped_at = STOPPED, datetime.now(UTC)
    for container in task.containers:
        container.exit_code, container.last_status = code, STOPPED


def register(stage: Stage, process: str, image: str) -> str:
    """One more revision, as a deploy makes it; its ARN."""
    definition = boto3.client("ecs").register_task_definition(
        family=f"{stage.names.prefix}-{process}",
        containerDefinitions=[
            {"name": name, "image": f"repo.example/moorage:{image}", "memory": 128}
            for name in (container_of(process), "migrate")
        ],
    )["taskDefinition"]
    return definition["taskDefinitionArn"]


@contextmanager
def ecs_of_the_twin() -> Iterator[None]:
    """moto's ECS as the local twin has it, and then moto's own again, for the tests that follow."""
    backend, calls = ecs_backends.backend, dict(vars(EC2ContainerServiceResponse))
    moto_ecs.apply()
    try:
        yield
    finally:
        state_manager.unset_transition("ecs::task")
        ecs_backends.backend = backend
        ecs_backends.clear()
        for name, changed in dict(vars(EC2ContainerServiceResponse)).items():
            if name not in calls:
                delattr(EC2ContainerServiceResponse, name)
            elif changed is not calls[name]:
                setattr(EC2ContainerServiceResponse, name, calls[name])


@contextmanager
def deployed(
    stage: str = "dev",
    *,
    counts: Sequence[int] = (2, 3),  # api, worker
    bounds: Sequence[Bounds | None] = (Bounds(1, 4), Bounds(1, 4)),
    is_twin: bool = False,
    called: str = "",
    **keys: object,
) -> Iterator[World]:
    """A stage with its services at rest, as a first deploy leaves it; `keys` as with `-c`. It is
    `called` as a project might call it.

    A worker pool has as many workers, and the bounds, of the default one.
    """
    with ecs_of_the_twin(), mock_aws():
        settings = read_stage(stage, keys)
        settings = replace(settings, stage=called or stage)
        pools = [pool.name for pool in settings.pools]
        processes = (*SERVICES, *pools)
        counts = (*counts, *(counts[-1] for _ in pools))
        bounds = (*bounds, *(bounds[-1] for _ in pools))
        names = settings.names
        client = boto3.client("ecs")
        client.create_cluster(clusterName=names.cluster)
        outputs = {"Url": "http://127.0.0.1:9"}
        if pools:
            outputs[Output.WORKER_POOLS] = ",".join(pool.pool for pool in settings.pools)
        for process, count, bound in zip(processes, counts, bounds, strict=True):
            arn = register(settings, process, "one")
            client.create_service(
                cluster=names.cluster,
                serviceName=names.service(process),
                taskDefinition=arn,
                desiredCount=count,
            )
            outputs[task_definition_output(process)] = arn
            if bound:
                boto3.client("application-autoscaling").register_scalable_target(
                    ServiceNamespace=NAMESPACE,
                    ResourceId=f"service/{names.cluster}/{names.service(process)}",
                    ScalableDimension=DIMENSION,
                    MinCapacity=bound.minimum,
                    MaxCapacity=bound.maximum,
                )
        put_stack(names.data_stack, {})
        put_stack(names.service_stack, outputs)
        for id in ALARMS:
            put_alarm(id, TOPIC)
        for process in pools:
            put_alarm("WorkerTasksMissing", TOPIC, of=process)
        put_alarm("Scaling", f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:scalingPolicy:1")
        put_alarm("OfAnotherApp", f"{TOPIC}-of-another-app")
        target = Target(settings, region=REGION)
        world = World(settings, Aws(target))
        world.settle()
        yield world


def put_alarm(id: str, action: str, of: str = "") -> None:
    """As a deploy writes it: with its actions on; `of` is a worker pool's process."""
    client("cloudwatch").put_metric_alarm(
        AlarmName=f"{id}{of}",
        AlarmDescription=f"{f'{of}: ' if of else ''}Trouble. docs/runbook.md#{runbook_section(id)}",
        AlarmActions=[action],
        Namespace="Test",
        MetricName=id,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )


def alarms_that_tell() -> set[str]:
    """Those with their actions on."""
    found = client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {each["AlarmName"] for each in found if each["ActionsEnabled"]}


def put_stack(name: str, outputs: dict[str, str]) -> None:
    if outputs:
        outputs = {**outputs, Output.ALARM_TOPIC: TOPIC}
    body = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    client = boto3.client("cloudformation")
    if outputs and name in {each["StackName"] for each in client.describe_stacks()["Stacks"]}:
        client.update_stack(StackName=name, TemplateBody=json.dumps(body))
    else:
        client.create_stack(StackName=name, TemplateBody=json.dumps(body))


def release(world: World, image: str) -> None:
    """What `cdk deploy` does with new code: all services to new revisions."""
    pools = world.stage.pools
    processes = (*(pool.name for pool in pools), ProcessName.WORKER, ProcessName.API)
    arns = {process: register(world.stage, process, image) for process in processes}
    outputs = {task_definition_output(process): arn for process, arn in arns.items()}
    if pools:
        outputs[Output.WORKER_POOLS] = ",".join(pool.pool for pool in pools)
    put_stack(world.stage.names.service_stack, outputs)
    for process in processes:
        boto3.client("ecs").update_service(
            cluster=world.stage.names.cluster,
            service=world.stage.names.service(process),
            taskDefinition=arns[process],
        )
        world.settle()


def before(aws: Aws, service: str, operation: str, act: Callable[[], object]) -> None:
    """Do that in the place of each such call; what it returns is not used."""

    def handle(**_given: Any) -> None:
        act()

    name = operation.replace("_", " ").title().replace(" ", "")
    aws._client(service).meta.events.register(f"provide-client-params.{service}.{name}", handle)


def refuse(aws: Aws, service: str, operation: str, code: str, message: str = "No.") -> None:
    """AWS answers so, at each such call."""

    def act() -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, operation)

    before(aws, service, operation, act)


def protected(world: World, process: ProcessName, number: int) -> None:
    """So many of its ECS tasks run long jobs."""
    for task in world.tasks(process)[:number]:
        protect(task, 60)
