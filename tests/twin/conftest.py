"""ECS as a user sees it: boto3 over HTTP against moto with the agent, in a process of its own."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from scripts.twin.client.state import Twin
from tests.prefork import prefork
from tests.scripts.conftest import GONE_SECONDS, ROOT, await_gone, wait_until

GROUP = "/ecs/test"
IMAGE = Path(__file__).parent / "image.py"
NUMBERS = count(1)


@pytest.fixture(autouse=True, scope="module")
def moto_unchanged_afterwards() -> Iterator[None]:
    """What a file changes in moto's classes is taken back: other files run in the same process."""
    before = {kind: dict(vars(kind)) for kind in _moto_classes()}
    yield
    for kind, attributes in before.items():
        for name, value in dict(vars(kind)).items():
            if name not in attributes and callable(value):
                delattr(kind, name)
            elif name in attributes and attributes[name] is not value:
                setattr(kind, name, attributes[name])


def _moto_classes() -> set[type]:
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("moto.")]
    return {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__.startswith("moto.")
    }


class Ecs:
    """A running agent, with a cluster, an image `good` and one `bad` that ends at once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._served: list[str] = []
        self.add_image("good", IMAGE.read_text())
        self.add_image("bad", "raise SystemExit(1)")
        with (home / "log").open("wb") as log:
            self.process = prefork(ROOT, "tests.twin.ecs_stand").start(
                [str(home)],
                {"PATH": os.environ["PATH"]},  # noqa: TID251
                log.fileno(),
            )
        try:
            self._prepare()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _prepare(self) -> None:
        wait_until(lambda: self._twin or self.process.poll() is not None, "the stand is up")
        assert self._twin, (self.home / "log").read_text()
        self.twin: Twin = self._twin
        self.client = self.boto("ecs")
        self.logs = self.boto("logs")
        self.client.create_cluster(clusterName="test")
        self.logs.create_log_group(logGroupName=GROUP)
        subnet = self.boto("ec2").describe_subnets()["Subnets"][0]
        self.vpc = subnet["VpcId"]
        group = self.boto("ec2").create_security_group(
            GroupName="test", Description="test", VpcId=self.vpc
        )
        self.network = {
            "awsvpcConfiguration": {
                "subnets": [subnet["SubnetId"]], "securityGroups": [group["GroupId"]],
            }
        }  # fmt: skip

    @property
    def _twin(self) -> Twin | None:
        return Twin.load(self.home)

    def boto(self, service: str) -> Any:
        environment = self.twin.environment
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.twin.endpoint,
            region_name=self.twin.region,
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    def add_image(self, tag: str, source: str) -> None:
        package = self.home / "twin" / "images" / tag / "service"
        package.mkdir(parents=True)
        (package / "__main__.py").write_text(source)

    def define(self, *containers: dict[str, Any], **roles: str) -> str:
        """The ARN of a new task definition; what a container does not say is `usual`."""
        made = self.client.register_task_definition(
            family=f"test-{next(NUMBERS)}",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[usual(**each) for each in containers],
            **roles,
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def serve(self, definition: str, desired: int = 1, **given: Any) -> str:
        """The name of a new ECS service."""
        name = f"service-{next(NUMBERS)}"
        self.client.create_service(
            cluster="test", serviceName=name, taskDefinition=definition, desiredCount=desired,
            launchType="FARGATE", networkConfiguration=self.network, **given,
        )  # fmt: skip
        self._served.append(name)
        return name

    def stop_services(self) -> None:
        """What tests have left running."""
        for name in self._served:
            if self.service(name)["status"] == "ACTIVE":
                self.client.update_service(cluster="test", service=name, desiredCount=0)
        self._served.clear()

    def run(self, definition: str, **given: Any) -> str:
        """The ARN of a one-off ECS task."""
        answer = self.client.run_task(
            cluster="test", taskDefinition=definition, launchType="FARGATE",
            networkConfiguration=self.network, **given,
        )  # fmt: skip
        return str(answer["tasks"][0]["taskArn"])

    def service(self, name: str) -> dict[str, Any]:
        (found,) = self.client.describe_services(cluster="test", services=[name])["services"]
        return dict(found)

    def tasks(self, service: str, status: str = "RUNNING") -> list[dict[str, Any]]:
        """Those of an ECS service with this desired status."""
        arns = self.client.list_tasks(
            cluster="test", serviceName=service, desiredStatus=status
        )["taskArns"]  # fmt: skip
        if not arns:
            return []
        return list(self.client.describe_tasks(cluster="test", tasks=arns)["tasks"])

    def task(self, arn: str) -> dict[str, Any]:
        (found,) = self.client.describe_tasks(cluster="test", tasks=[arn])["tasks"]
        return dict(found)

    def events(self, service: str) -> list[str]:
        """Newest first, without the service's name."""
        shown = self.service(service)["events"]
        return [each["message"].removeprefix(f"(service {service}) ") for each in shown]

    def await_running(self, service: str, number: int = 1) -> list[dict[str, Any]]:
        """Its ECS tasks as soon as so many of them run."""

        found: list[dict[str, Any]] = []

        def are_running() -> bool:
            found[:] = [t for t in self.tasks(service) if t["lastStatus"] == "RUNNING"]
            return len(found) == number

        wait_until(are_running, f"{number} ECS tasks run")
        return found

    def await_steady(self, service: str) -> None:
        def is_steady() -> bool:
            shown = self.service(service)
            states = [each["rolloutState"] for each in shown["deployments"]]
            return states == ["COMPLETED"] and shown["runningCount"] == shown["desiredCount"]

        wait_until(is_steady, f"{service} is steady")

    def await_stopped(self, arn: str) -> dict[str, Any]:
        wait_until(lambda: self.task(arn)["lastStatus"] == "STOPPED", f"{arn} has stopped")
        return self.task(arn)

    def lines(self, task_arn: str, container: str = "main") -> list[str]:
        """What a container has written, as CloudWatch Logs has it."""
        stream = f"test/{container}/{task_arn.rpartition('/')[2]}"
        try:
            events = self.logs.get_log_events(
                logGroupName=GROUP, logStreamName=stream, startFromHead=True
            )["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [each["message"] for each in events]

    def await_line(self, task_arn: str, start: str, container: str = "main") -> str:
        """The rest of the first line that starts so."""

        def rests() -> list[str]:
            lines = self.lines(task_arn, container)
            return [each.removeprefix(start) for each in lines if each.startswith(start)]

        wait_until(rests, f"a line {start!r}")
        return rests()[0]

    def processes(self) -> list[psutil.Process]:
        """Every container's process and what it has started."""
        folder = str(self.home / "twin" / "images")
        found = []
        for each in psutil.process_iter():
            try:
                if each.cwd().startswith(folder):
                    found.append(each)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(GONE_SECONDS)


def usual(**given: Any) -> dict[str, Any]:
    """A container definition of the image `good`."""
    return {
        "name": "main",
        "image": "registry.example/test:good",
        "essential": True,
        "stopTimeout": 5,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": GROUP, "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "test",
            },
        },
        **given,
    }  # fmt: skip


@pytest.fixture(scope="session")
def ecs(scratch: Path) -> Iterator[Ecs]:
    """One for all tests: each makes its own ECS services."""
    with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder:
        running = Ecs(Path(folder))
        try:
            yield running
        finally:
            running.stop()
        await_gone(running.processes())
        assert "Traceback" not in (log := (running.home / "log").read_text()), log


@pytest.fixture
def own_ecs(scratch: Path) -> Iterator[Callable[[], Ecs]]:
    """Starts one that a test may stop or kill."""
    with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder:
        made: list[Ecs] = []

        def start() -> Ecs:
            made.append(Ecs(Path(folder)))
            return made[-1]

        yield start
        for each in made:
            if each.process.poll() is None:
                each.stop()
