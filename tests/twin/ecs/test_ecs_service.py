"""An ECS service: its count, its deployments, its health."""

import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.scripts.conftest import are_gone, await_gone, wait_until
from tests.twin.conftest import Ecs

CHECK = {
    "command": ["CMD", "python", "-m", "service", "check"],
    "interval": 1, "timeout": 5, "retries": 2, "startPeriod": 60,
}  # fmt: skip
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@pytest.fixture(autouse=True)
def services_end(ecs: Ecs) -> Iterator[None]:
    """With their test: the health checks of their containers would go on."""
    yield
    ecs.stop_services()


def ids(tasks: list[dict[str, Any]]) -> set[str]:
    return {task["taskArn"].rpartition("/")[2] for task in tasks}


def test_killed_task_is_replaced(ecs: Ecs) -> None:
    name = ecs.serve(ecs.define({"command": ["wait"]}), desired=2)
    first, second = ecs.await_running(name, 2)
    assert first["group"] == f"service:{name}"
    assert first["startedBy"] == ecs.service(name)["deployments"][0]["id"]
    os.kill(int(ecs.await_line(first["taskArn"], "pid ")), signal.SIGKILL)
    ecs.await_stopped(first["taskArn"])
    now = ecs.await_running(name, 2)
    assert second["taskArn"] in {task["taskArn"] for task in now}
    assert first["taskArn"] not in {task["taskArn"] for task in now}


def test_count_follows_what_is_desired(ecs: Ecs) -> None:
    name = ecs.serve(ecs.define({"command": ["wait"]}), desired=0)
    for desired in (3, 1):
        ecs.client.update_service(cluster="test", service=name, desiredCount=desired)
        ecs.await_running(name, desired)
    ecs.await_steady(name)
    stopped = ecs.tasks(name, "STOPPED")
    deployment = ecs.service(name)["deployments"][0]["id"]
    for task in stopped:
        assert task["stopCode"] == "ServiceSchedulerInitiated"
        wanted = f"Scaling activity initiated by (deployment {deployment})"
        assert task["stoppedReason"] == wanted
    assert len(stopped) == 2
    shown = ecs.service(name)
    assert (shown["runningCount"], shown["pendingCount"], shown["desiredCount"]) == (1, 0, 1)
    events = ecs.events(name)
    assert events[0] == "has reached a steady state."
    assert [event.split(":")[0] for event in events if "tasks:" in event] == [
        "has stopped 2 running tasks", "has started 3 tasks",
    ]  # fmt: skip


def test_deleted_service_drains_and_is_gone(ecs: Ecs) -> None:
    name = ecs.serve(ecs.define({"command": ["wait"]}))
    (task,) = ecs.await_running(name)
    ecs.await_line(task["taskArn"], "pid ")
    answer = ecs.client.delete_service(cluster="test", service=name, force=True)
    assert answer["service"]["status"] == "DRAINING"
    wait_until(lambda: ecs.service(name)["status"] == "INACTIVE", "the service is gone")
    assert ecs.await_stopped(task["taskArn"])["containers"][0]["exitCode"] == 0
    pages = ecs.client.get_paginator("list_services").paginate(cluster="test")
    assert not [arn for page in pages for arn in page["serviceArns"] if arn.endswith(name)]


def test_unhealthy_task_is_replaced_and_says_why(ecs: Ecs) -> None:
    name = ecs.serve(ecs.define({"command": ["sick"], "healthCheck": CHECK}))
    (task,) = ecs.await_running(name)
    wait_until(lambda: ecs.task(task["taskArn"])["healthStatus"] == "HEALTHY", "healthy")
    os.kill(int(ecs.await_line(task["taskArn"], "pid ")), signal.SIGUSR1)
    stopped = ecs.await_stopped(task["taskArn"])
    assert stopped["stoppedReason"] == "Task failed container health checks"
    assert stopped["stopCode"] == "ServiceSchedulerInitiated"
    assert stopped["containers"][0]["healthStatus"] == "UNHEALTHY"
    wait_until(lambda: ids(ecs.tasks(name)) - ids([task]), "another one")
    (task_id,) = ids([task])
    words = f"(task {task_id}) failed container health checks."
    wait_until(lambda: words in ecs.events(name), "an event that says so")
    ecs.client.update_service(cluster="test", service=name, desiredCount=0)


def test_rolling_update_keeps_the_minimum_healthy(ecs: Ecs) -> None:
    name = ecs.serve(
        ecs.define({"command": ["late", "0"], "healthCheck": CHECK}),
        desired=2,
        deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 150},
    )
    ecs.await_steady(name)
    old = ecs.tasks(name)
    new = ecs.define({"command": ["late", "1"], "healthCheck": CHECK})
    ecs.client.update_service(cluster="test", service=name, taskDefinition=new)
    first, second = ecs.service(name)["deployments"]
    assert (first["status"], first["rolloutState"]) == ("PRIMARY", "IN_PROGRESS")
    assert (second["status"], second["rolloutState"]) == ("ACTIVE", "COMPLETED")
    seen = []

    def is_done() -> bool:
        # what stops between the two calls counts as it was in the first
        tasks = ecs.tasks(name)
        seen.append((sum(task["healthStatus"] == "HEALTHY" for task in tasks), len(tasks)))
        return {task["taskDefinitionArn"] for task in tasks} == {new} and len(tasks) == 2

    wait_until(is_done, "only new ECS tasks")
    ecs.await_steady(name)
    assert min(healthy for healthy, _ in seen) >= 2, seen
    assert max(count for _, count in seen) == 3, seen
    for task in old:
        assert ecs.await_stopped(task["taskArn"])["containers"][0]["exitCode"] == 0
    assert any("deployment completed." in event for event in ecs.events(name))


def test_new_deployment_of_the_same_replaces_every_task(ecs: Ecs) -> None:
    name = ecs.serve(ecs.define({"command": ["wait"]}))
    ecs.await_steady(name)
    (before,) = ecs.tasks(name)
    ecs.client.update_service(cluster="test", service=name, forceNewDeployment=True)
    ecs.await_stopped(before["taskArn"])
    (after,) = ecs.await_running(name)
    assert after["taskDefinitionArn"] == before["taskDefinitionArn"]
    assert after["startedBy"] != before["startedBy"]


def test_circuit_breaker_rolls_back_to_what_ran(ecs: Ecs) -> None:
    good, bad = (
        ecs.define({"command": ["wait"]}),
        ecs.define({"image": "registry.example/test:bad"}),
    )
    name = ecs.serve(good, deploymentConfiguration=BREAKER)
    ecs.await_steady(name)
    (before,) = ecs.tasks(name)
    first = ecs.service(name)["deployments"][0]["id"]
    ecs.client.update_service(cluster="test", service=name, taskDefinition=bad)
    failed = ecs.service(name)["deployments"][0]["id"]
    wait_until(lambda: ecs.service(name)["taskDefinition"] == good, "rolled back")
    ecs.await_steady(name)
    assert ids(ecs.tasks(name)) == ids([before])  # it ran all the time
    events = ecs.events(name)
    assert f"(deployment {failed}) deployment failed: tasks failed to start." in events
    assert f"rolling back to deployment {first}." in events
    stopped = ecs.tasks(name, "STOPPED")
    assert [task["containers"][0]["exitCode"] for task in stopped] == [1, 1, 1]
    listed = ecs.client.list_service_deployments(cluster="test", service=name)
    shown = {each["status"]: each for each in listed["serviceDeployments"]}
    assert set(shown) == {"SUCCESSFUL", "ROLLBACK_SUCCESSFUL"}
    arn = shown["ROLLBACK_SUCCESSFUL"]["serviceDeploymentArn"]
    (one,) = ecs.client.describe_service_deployments(serviceDeploymentArns=[arn])[
        "serviceDeployments"
    ]
    assert one["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    (revision,) = ecs.client.describe_service_revisions(
        serviceRevisionArns=[one["targetServiceRevision"]["arn"]]
    )["serviceRevisions"]
    assert revision["taskDefinition"] == bad


def test_first_deployment_that_fails_is_given_up(ecs: Ecs) -> None:
    bad = ecs.define({"image": "registry.example/test:bad"})
    name = ecs.serve(bad, deploymentConfiguration=BREAKER)

    def deployment() -> dict[str, Any]:
        return dict(ecs.service(name)["deployments"][0])

    wait_until(lambda: deployment()["rolloutState"] == "FAILED", "given up")
    assert "tasks failed to start" in deployment()["rolloutStateReason"]
    assert deployment()["failedTasks"] == 3
    listed = ecs.client.list_service_deployments(cluster="test", service=name)
    assert [each["status"] for each in listed["serviceDeployments"]] == ["STOPPED"]
    good = ecs.define({"command": ["wait"]})
    ecs.client.update_service(cluster="test", service=name, taskDefinition=good)
    ecs.await_steady(name)
    assert len(ecs.tasks(name, "STOPPED")) == 3


def test_service_that_cannot_start_is_tried_ever_more_slowly(ecs: Ecs) -> None:
    name = ecs.serve(ecs.define({"image": "registry.example/test:bad"}))
    words = "is unable to consistently start tasks successfully."
    wait_until(lambda: words in ecs.events(name), "an event that says so")
    wait_until(lambda: len(ecs.tasks(name, "STOPPED")) >= 4, "a fourth try")
    tasks = sorted(ecs.tasks(name, "STOPPED"), key=lambda task: task["createdAt"])
    waits = [
        (after["createdAt"] - before["stoppingAt"]).total_seconds()
        for before, after in pairwise(tasks[:4])
    ]
    assert all(wait >= least for wait, least in zip(waits, (0.5, 1, 2), strict=True)), waits
    assert ecs.service(name)["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    ecs.client.update_service(cluster="test", service=name, desiredCount=0)


def test_protected_task_is_spared_by_scale_in_and_deployments(ecs: Ecs) -> None:
    name = ecs.serve(ecs.define({"command": ["late", "0"], "healthCheck": CHECK}), desired=2)
    first, second = ecs.await_running(name, 2)
    newest = max(first, second, key=lambda task: task["createdAt"])["taskArn"]
    answer = ecs.client.update_task_protection(
        cluster="test", tasks=[newest], protectionEnabled=True, expiresInMinutes=5
    )
    assert answer["protectedTasks"][0]["protectionEnabled"]
    ecs.client.update_service(cluster="test", service=name, desiredCount=1)
    wait_until(lambda: len(ecs.tasks(name)) == 1, "one is stopped")
    assert ids(ecs.tasks(name)) == {newest.rpartition("/")[2]}
    ecs.await_steady(name)
    ecs.client.update_service(cluster="test", service=name, forceNewDeployment=True)
    ecs.await_running(name, 2)
    wait_until(lambda: {t["healthStatus"] for t in ecs.tasks(name)} == {"HEALTHY"}, "both healthy")
    time.sleep(1)  # now the old one would be stopped
    assert newest.rpartition("/")[2] in ids(ecs.tasks(name))
    assert ecs.service(name)["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    ecs.client.update_task_protection(cluster="test", tasks=[newest], protectionEnabled=False)
    ecs.await_stopped(newest)
    ecs.await_steady(name)


def test_only_running_tasks_of_a_service_can_be_protected(ecs: Ecs) -> None:
    arn = ecs.run(ecs.define({"command": ["wait"]}))
    answer = ecs.client.update_task_protection(
        cluster="test", tasks=[arn, "none"], protectionEnabled=True
    )
    assert [each["reason"] for each in answer["failures"]] == ["TASK_NOT_VALID", "MISSING"]
    ecs.client.stop_task(cluster="test", task=arn)


def test_api_is_deployed_when_the_balancer_finds_it_healthy(ecs: Ecs) -> None:
    elb = ecs.boto("elbv2")
    group = elb.create_target_group(
        Name="api", Protocol="HTTP", Port=8000, VpcId=ecs.vpc, TargetType="ip",
        HealthCheckPath="/", HealthCheckIntervalSeconds=5, HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    subnets = [each["SubnetId"] for each in ecs.boto("ec2").describe_subnets()["Subnets"][:2]]
    balancer = elb.create_load_balancer(Name="door", Subnets=subnets, Type="application")
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"], Protocol="HTTP", Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )  # fmt: skip
    port = {"containerPort": 8000}
    balanced = {"targetGroupArn": group, "containerName": "main", **port}
    name = ecs.serve(
        ecs.define({"command": ["serve"], "portMappings": [port]}),
        desired=2,
        loadBalancers=[balanced],
        deploymentConfiguration=BREAKER,
    )

    def states() -> list[str]:
        shown = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [each["TargetHealth"]["State"] for each in shown]

    ecs.await_steady(name)
    assert states() == ["healthy", "healthy"]
    with urllib.request.urlopen(ecs.twin.url, timeout=30) as answer:
        assert answer.status == 200
    # Not there for the balancer, though it runs: never held for deployed.
    deaf = ecs.define({"command": ["wait"], "portMappings": [port]})
    ecs.client.update_service(cluster="test", service=name, taskDefinition=deaf)
    wait_until(lambda: any("rolling back" in each for each in ecs.events(name)), "rolled back")
    ecs.await_steady(name)
    assert states() == ["healthy", "healthy"]
    reasons = {task["stoppedReason"] for task in ecs.tasks(name, "STOPPED")}
    assert f"Task failed ELB health checks in (target-group {group})" in reasons
    ecs.client.update_service(cluster="test", service=name, desiredCount=0)
    wait_until(lambda: not states(), "no targets")
    words = f"deregistered 2 targets in (target-group {group})"
    wait_until(lambda: words in ecs.events(name), "an event that says so")


def test_no_process_is_left_when_the_agent_stops(own_ecs: Callable[[], Ecs]) -> None:
    ecs = own_ecs()
    ecs.serve(ecs.define({"command": ["wait"], "stopTimeout": 60}), desired=2)
    arn = ecs.run(ecs.define({"command": ["count", "1"]}, {"name": "other", "command": ["wait"]}))
    ecs.await_stopped(arn)
    wait_until(lambda: len(ecs.processes()) == 2, "two run")
    left = ecs.processes()
    ecs.stop()
    await_gone(left)


def test_no_process_is_left_when_the_agent_is_killed(own_ecs: Callable[[], Ecs]) -> None:
    ecs = own_ecs()
    name = ecs.serve(ecs.define({"command": ["stubborn"]}), desired=2)
    for task in ecs.await_running(name, 2):
        ecs.await_line(task["taskArn"], "pid ")
    left = ecs.processes()
    assert len(left) == 2
    ecs.process.kill()
    ecs.process.wait()
    wait_until(lambda: are_gone(left), "the guard has ended them")
