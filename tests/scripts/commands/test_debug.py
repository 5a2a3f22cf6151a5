"""The debug twin of a task definition: the same but for what a look inside needs."""

from scripts.aws import Aws
from scripts.commands.debug import deregister, register
from scripts.ecs.debug_definition import debug_definition
from scripts.ecs.services import find_service
from service.contract import ProcessName
from tests.scripts.cloud import aws, client
from tests.scripts.prefixes import DEV_PREFIX
from tests.scripts.stage import definition, make_stage

__all__ = ["aws"]


def test_twin_sleeps_with_the_same_image_settings_roles_and_log() -> None:
    described = {
        "taskDefinitionArn": f"arn:aws:ecs:us-east-1:1:task-definition/{DEV_PREFIX}-worker:7",
        "family": f"{DEV_PREFIX}-worker",
        "revision": 7,
        "status": "ACTIVE",
        "requiresAttributes": [{"name": "x"}],
        "compatibilities": ["FARGATE"],
        "registeredBy": "arn:x",
        "taskRoleArn": "arn:task",
        "executionRoleArn": "arn:execution",
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "volumes": [{"name": "writable"}],
        "containerDefinitions": [
            {"name": "migrate", "image": "i", "command": ["migrate"], "essential": False},
            {
                "name": "worker",
                "image": "i",
                "command": ["worker"],
                "essential": True,
                "environment": [{"name": "STAGE", "value": "dev"}],
                "secrets": [{"name": "API_KEY", "valueFrom": "arn:s"}],
                "mountPoints": [{"sourceVolume": "writable", "containerPath": "/tmp"}],
                "dependsOn": [{"containerName": "migrate", "condition": "SUCCESS"}],
                "healthCheck": {"command": ["CMD", "x"]},
                "readonlyRootFilesystem": True,
                "user": "10001:10001",
                "logConfiguration": {"logDriver": "awslogs"},
            },
        ],
    }
    assert debug_definition(described, ProcessName.WORKER, seconds=3600) == {
        "family": f"{DEV_PREFIX}-worker-debug",
        "taskRoleArn": "arn:task",
        "executionRoleArn": "arn:execution",
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "volumes": [{"name": "writable"}],
        "containerDefinitions": [
            {
                "name": "worker",
                "image": "i",
                "command": ["run", "sleep", "3600"],
                "essential": True,
                "environment": [{"name": "STAGE", "value": "dev"}],
                "secrets": [{"name": "API_KEY", "valueFrom": "arn:s"}],
                "mountPoints": [{"sourceVolume": "writable", "containerPath": "/tmp"}],
                "readonlyRootFilesystem": False,
                "linuxParameters": {"initProcessEnabled": True},
                "user": "10001:10001",
                "logConfiguration": {"logDriver": "awslogs"},
            }
        ],
    }


def test_twin_is_registered_under_a_family_of_its_own_and_taken_away_again(aws: Aws) -> None:
    make_stage(has_exec=False)
    ecs = client("ecs")
    service = find_service(aws, ProcessName.WORKER)
    arn = register(aws, service, ProcessName.WORKER, 60, "arn:aws:iam::123456789012:role/debug")
    assert arn.endswith(f"/{DEV_PREFIX}-worker-debug:1")
    made = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    assert made["taskRoleArn"].endswith(":role/debug"), "the worker's own may open no session"
    (container,) = made["containerDefinitions"]
    (original,) = (
        each
        for each in definition(ProcessName.WORKER)["containerDefinitions"]
        if each["name"] == "worker"
    )
    assert container["environment"] == original["environment"]
    assert "migrate" not in str(container["name"])
    deregister(aws, arn)
    active = ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
    assert arn not in active
    assert len(active) == 2
