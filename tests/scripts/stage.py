"""A stage dev in moto, in this process: its cluster, ECS services and ECS tasks."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.ecs.models import ecs_backends
from moto.moto_api import state_manager

from service.contract import ProcessName
from stacks.config.naming import Output
from tests.scripts.cloud import ACCOUNT, NAMES, REGION, client

USER_SECRET, OWNER_SECRET = "database-secret", "owner-secret"


@dataclass
class Container:
    """As moto shows it: the fields are ECS's names in snake case."""

    name: str
    last_status: str = "RUNNING"
    runtime_id: str = "f00d-1"
    managed_agents: list[dict[str, str]] = field(default_factory=list)
    exit_code: int | None = None
    reason: str | None = None


def agent(status: str) -> list[dict[str, str]]:
    return [{"name": "ExecuteCommandAgent", "lastStatus": status}]


def make_stage(*, has_exec: bool = True) -> None:
    """A cluster, and for each process a task definition and an ECS service without ECS tasks; the
    outputs and the secret that name the database."""
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{NAMES.prefix}-worker:1"
    for stack in (NAMES.data_stack, NAMES.service_stack):
        template = {
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {Output.WORKER_TASK_DEFINITION: {"Value": arn}},
        }
        client("cloudformation").create_stack(StackName=stack, TemplateBody=json.dumps(template))
    for name, user, password in (
        (USER_SECRET, "moorage_app", "s3cret"), (OWNER_SECRET, "moorage", "0wner"),
    ):  # fmt: skip
        secret = json.dumps({"username": user, "password": password})
        client("secretsmanager").create_secret(Name=name, SecretString=secret)
    # else an ECS task stops a little more each time it is looked at
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 10**9})
    ecs = client("ecs")
    ecs.create_cluster(clusterName=NAMES.cluster)
    for process in (ProcessName.API, ProcessName.WORKER):
        ecs.register_task_definition(**definition(process, is_read_only=not has_exec))
        ecs.create_service(
            cluster=NAMES.cluster, serviceName=NAMES.service(process), desiredCount=0,
            taskDefinition=f"{NAMES.prefix}-{process}", launchType="FARGATE",
            networkConfiguration=network(), enableExecuteCommand=has_exec,
        )  # fmt: skip
        (service,) = (
            each for each in backend().services.values() if each.name == NAMES.service(process)
        )
        service.enable_execute_command = has_exec


def network() -> dict[str, Any]:
    """A subnet and a group of moto's own default VPC."""
    ec2 = client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    return {
        "awsvpcConfiguration": {
            "subnets": [subnet], "securityGroups": [group], "assignPublicIp": "ENABLED",
        }
    }  # fmt: skip


def address(user: str) -> str:
    return (
        f"postgresql://{user}@db.example.com:5433/moorage?sslmode=verify-full"
        "&sslrootcert=/etc/ssl/rds-global-bundle.pem"
    )


def definition(
    process: ProcessName, *, is_read_only: bool = False, has_one_user: bool = False
) -> dict[str, Any]:
    """As stacks/service/task_definition.py makes it, where these commands look; with one user of
    the database as it made it before."""
    user, secret = ("moorage", OWNER_SECRET) if has_one_user else ("moorage_app", USER_SECRET)
    owner = {
        "environment": [{"name": "DATABASE_OWNER_URL", "value": address("moorage")}],
        "secrets": [{"name": "DATABASE_OWNER_PASSWORD", "valueFrom": f"{OWNER_SECRET}:password::"}],
    }

    def container(name: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "image": "moorage",
            "command": [name],
            "user": "10001:10001",
            "memory": 256,
            "readonlyRootFilesystem": is_read_only,
            "environment": [
                {"name": "DATABASE_URL", "value": address(user)},
                {"name": "DATABASE_SECRET_ARN", "value": secret},
            ],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": NAMES.log_group(process),
                    "awslogs-region": REGION,
                    "awslogs-stream-prefix": name,
                },
            },
            **more,
        }

    return {
        "family": f"{NAMES.prefix}-{process}",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "taskRoleArn": "arn:aws:iam::123456789012:role/task",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "volumes": [{"name": "writable"}],
        "containerDefinitions": [
            container("migrate", essential=False, **({} if has_one_user else owner)),
            container(
                process,
                essential=True,
                dependsOn=[{"containerName": "migrate", "condition": "SUCCESS"}],
                healthCheck={"command": ["CMD", "true"]},
            ),
        ],
    }


def backend() -> Any:
    return ecs_backends[ACCOUNT][REGION]


def start_task(process: ProcessName, *, has_exec: bool = True, agent_is: str = "RUNNING") -> Any:
    """One more running ECS task of the service; moto's own object of it."""
    answer = client("ecs").run_task(
        cluster=NAMES.cluster, taskDefinition=f"{NAMES.prefix}-{process}", launchType="FARGATE",
        networkConfiguration=network(), group=f"service:{NAMES.service(process)}",
    )  # fmt: skip
    task = backend().tasks[NAMES.cluster][answer["tasks"][0]["taskArn"]]
    task.service_name = NAMES.service(process)
    task.enable_execute_command = has_exec
    task.started_at = datetime.now(UTC)
    task.containers = [
        Container("migrate", "STOPPED", exit_code=0),
        Container(process, managed_agents=agent(agent_is) if has_exec else []),
    ]
    return task
