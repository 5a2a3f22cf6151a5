"""What an ECS task finds on localhost, as the service itself asks for it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from service.processes.scale_in_protection import TaskProtection
from tests.scripts.conftest import wait_until
from tests.twin.conftest import Ecs


@pytest.fixture(scope="module")
def task(ecs: Ecs) -> dict[str, Any]:
    """An ECS task of an ECS service."""
    service = ecs.serve(ecs.define({"command": ["show", "ECS_AGENT_URI"], "essential": False},
                                   {"name": "stays", "command": ["wait"]}))  # fmt: skip
    (found,) = ecs.await_running(service)

    def has_ended() -> bool:
        return bool(ecs.task(found["taskArn"])["containers"][0]["lastStatus"] == "STOPPED")

    wait_until(has_ended, "the container that shows has ended: nothing changes any more")
    return ecs.task(found["taskArn"])


def agent(ecs: Ecs, task: dict[str, Any], path: str) -> str:
    return f"{ecs.twin.agent_url}{path.format(id=task['containers'][0]['runtimeId'])}"


STATE = "/api/{id}/task-protection/v1/state"


def test_task_and_container_are_described(ecs: Ecs, task: dict[str, Any]) -> None:
    shown = httpx.get(agent(ecs, task, "/v4/{id}/task")).json()
    family, revision = task["taskDefinitionArn"].rpartition("/")[2].split(":")
    assert (shown["TaskARN"], shown["Cluster"]) == (task["taskArn"], task["clusterArn"])
    assert (shown["Family"], shown["Revision"]) == (family, revision)
    assert shown["AvailabilityZone"] == task["availabilityZone"]
    assert shown["Limits"] == {"CPU": 0.25, "Memory": 512}
    assert [each["Name"] for each in shown["Containers"]] == ["main", "stays"]
    container = httpx.get(agent(ecs, task, "/v4/{id}")).json()
    assert container == shown["Containers"][0]
    assert container["Labels"]["com.amazonaws.ecs.task-arn"] == task["taskArn"]
    assert container["LogOptions"]["awslogs-group"] == "/ecs/test"


def test_container_is_told_where_to_ask(ecs: Ecs, task: dict[str, Any]) -> None:
    uri = ecs.await_line(task["taskArn"], "ECS_AGENT_URI ")
    answer = httpx.get(f"{uri}/task-protection/v1/state")
    assert answer.json() == {"protection": {"ProtectionEnabled": False, "TaskArn": task["taskArn"]}}


def test_protection_is_what_ecs_shows(ecs: Ecs, task: dict[str, Any]) -> None:
    url = agent(ecs, task, STATE)
    body = {"ProtectionEnabled": True, "ExpiresInMinutes": 7}
    answer = httpx.put(url, json=body)
    assert answer.status_code == 200
    granted = answer.json()["protection"]
    assert granted["ProtectionEnabled"] is True
    assert granted["ExpirationDate"].endswith("Z")
    assert httpx.get(url).json() == {"protection": granted}
    shown = ecs.client.get_task_protection(cluster="test", tasks=[task["taskArn"]])
    assert shown["protectedTasks"][0]["protectionEnabled"] is True
    httpx.put(url, json={"ProtectionEnabled": False})
    shown = ecs.client.get_task_protection(cluster="test", tasks=[task["taskArn"]])
    assert shown["protectedTasks"][0]["protectionEnabled"] is False


@pytest.mark.parametrize(
    "body",
    ["{}", "no json", "[]", '{"ProtectionEnabled": true, "Expires": 1}',
     '{"ProtectionEnabled": "yes"}', '{"ProtectionEnabled": true, "ExpiresInMinutes": 2881}'],
)  # fmt: skip
def test_request_that_the_agent_cannot_read_is_a_400(
    ecs: Ecs, task: dict[str, Any], body: str
) -> None:
    answer = httpx.put(agent(ecs, task, STATE), content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["Code"] == "InvalidParameterException"


def test_unknown_task_is_a_404(ecs: Ecs) -> None:
    for path in ("/v4/nobody", "/v4/nobody/task", "/api/nobody/task-protection/v1/state"):
        assert httpx.get(ecs.twin.agent_url + path).status_code == 404
    url = f"{ecs.twin.agent_url}/api/nobody/task-protection/v1/state"
    assert httpx.put(url, json={"ProtectionEnabled": True}).status_code == 404


def test_refusal_comes_with_status_200(ecs: Ecs) -> None:
    arn = ecs.run(ecs.define({"command": ["wait"]}))
    ecs.await_line(arn, "pid ")
    answer = httpx.put(agent(ecs, ecs.task(arn), STATE), json={"ProtectionEnabled": True})
    assert answer.status_code == 200
    assert answer.json()["failure"]["Reason"] == "TASK_NOT_VALID"
    assert answer.json()["failure"]["Arn"] == arn


class BusyWorker:
    """What TaskProtection sees of a worker: one long job."""

    is_idle = False

    def busy_until(self, *, beyond_seconds: float) -> float:
        return asyncio.get_running_loop().time() + 600


def test_service_protects_itself_here_as_on_ecs(ecs: Ecs, task: dict[str, Any]) -> None:
    def is_protected() -> bool:
        shown = ecs.client.get_task_protection(cluster="test", tasks=[task["taskArn"]])
        return bool(shown["protectedTasks"][0]["protectionEnabled"])

    async def protect() -> None:
        uri = agent(ecs, task, "/api/{id}")
        work = asyncio.create_task(
            TaskProtection(
                BusyWorker(),  # type: ignore[arg-type]
                agent_uri=uri,
                metadata_uri=None,
                drain_seconds=1,
            ).run()
        )
        await asyncio.to_thread(wait_until, is_protected, "protection")
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(protect())


def test_ecs_is_seen_in_its_metrics_while_something_runs(ecs: Ecs, task: dict[str, Any]) -> None:
    cloudwatch = ecs.boto("cloudwatch")

    def names(service: str) -> set[str]:
        wanted = [{"Name": "ServiceName", "Value": service}]
        return {
            each["MetricName"] for each in cloudwatch.list_metrics(Dimensions=wanted)["Metrics"]
        }

    at_rest = ecs.serve(task["taskDefinitionArn"], desired=0)
    running = task["group"].removeprefix("service:")
    before = datetime.now(UTC)

    def is_measured() -> bool:
        found = cloudwatch.get_metric_statistics(
            Namespace="ECS/ContainerInsights", MetricName="RunningTaskCount", Period=60,
            Dimensions=[{"Name": "ClusterName", "Value": "test"},
                        {"Name": "ServiceName", "Value": running}],
            StartTime=before, EndTime=before + timedelta(minutes=5), Statistics=["Sum"],
        )  # fmt: skip
        return bool(found["Datapoints"])

    wait_until(is_measured, "metrics of ECS")
    assert names(running) >= {
        "CPUUtilization", "MemoryUtilization", "DesiredTaskCount", "RunningTaskCount"
    }  # fmt: skip
    assert names(at_rest) == set(), "Container Insights knows nothing of it"
