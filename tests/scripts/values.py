"""Values to build others from."""

from datetime import UTC, datetime

from scripts.ecs.services import Rollout, Service
from scripts.ecs.tasks import Container, Task
from service.contract import ProcessName
from tests.scripts.prefixes import DEV_PREFIX

AT = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
DEFINITION = f"arn:aws:ecs:us-east-1:123456789012:task-definition/{DEV_PREFIX}-worker"
ROLLOUT = Rollout(
    id="ecs-svc/1",
    is_primary=True,
    task_definition=f"{DEFINITION}:4",
    desired=2,
    running=2,
    pending=0,
    failed=0,
    state="COMPLETED",
    reason="ECS deployment ecs-svc/1 completed.",
    created=AT,
)
SERVICE = Service(
    process=ProcessName.WORKER,
    name=f"{DEV_PREFIX}-worker-service",
    arn=f"arn:aws:ecs:us-east-1:123456789012:service/{DEV_PREFIX}-cluster/{DEV_PREFIX}-worker-service",
    desired=2,
    running=2,
    pending=0,
    task_definition=f"{DEFINITION}:4",
    rollouts=(ROLLOUT,),
    events=(),
    tags={},
    target_groups=(),
    cluster_arn=f"arn:aws:ecs:us-east-1:123456789012:cluster/{DEV_PREFIX}-cluster",
    network={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    platform_version="LATEST",
    has_exec=False,
)
TASK = Task(
    id="0123456789abcdef",
    arn=f"arn:aws:ecs:us-east-1:123456789012:task/{DEV_PREFIX}-cluster/0123456789abcdef",
    group=f"service:{SERVICE.name}",
    started_by=ROLLOUT.id,
    task_definition=f"{DEFINITION}:4",
    status="RUNNING",
    wanted="RUNNING",
    started=AT,
    stop_code="",
    stop_reason="",
    stopped=None,
    is_pulling=False,
    has_exec=True,
    containers=(Container("worker", "RUNNING"),),
)
