"""Task protection: ECS tasks that neither scale-in nor a deployment may stop."""

from typing import Any

from moto.ecs.exceptions import InvalidParameterException

from scripts.twin.ecs.task_record import RUNNING, is_protected, protect

MINUTES, MINUTES_MAX = 120, 2880  # ECS's default and maximum

Answer = dict[str, list[dict[str, Any]]]


def get(backend: Any, cluster: str, tasks: list[str]) -> Answer:
    """The answer to GetTaskProtection; for the whole cluster where no ECS task is named."""
    with backend.lock:
        named = tasks or [each.task_arn for each in backend.list_tasks(cluster)]
        return _answer(backend, cluster, named, _shown)


def update(
    backend: Any, cluster: str, tasks: list[str], *, is_wanted: bool, minutes: int
) -> Answer:
    """The answer to UpdateTaskProtection, with refused ECS tasks in `failures`."""
    if is_wanted and not 1 <= minutes <= MINUTES_MAX:
        raise InvalidParameterException(f"expiresInMinutes must be from 1 to {MINUTES_MAX}.")

    def change(task: Any) -> dict[str, Any]:
        if is_wanted and _is_blocked(backend, task):
            detail = "More ECS tasks are protected than desired; a deployment waits for them."
            return {"arn": task.task_arn, "reason": "DEPLOYMENT_BLOCKED", "detail": detail}
        protect(task, minutes if is_wanted else None)
        backend.asked.set()
        return _shown(task)

    with backend.lock:
        return _answer(backend, cluster, tasks, change)


def _answer(backend: Any, cluster: str, tasks: list[str], shown: Any) -> Answer:
    found: Answer = {"protectedTasks": [], "failures": []}
    for named in tasks:
        task = backend.find_task(cluster, named)
        if task is None:
            found["failures"].append({"arn": named, "reason": "MISSING"})
        elif not task.group.startswith("service:") or task.desired_status != RUNNING:
            detail = "Only a running ECS task of an ECS service can be protected."
            arn = task.task_arn
            found["failures"].append({"arn": arn, "reason": "TASK_NOT_VALID", "detail": detail})
        else:
            answer = shown(task)
            found["failures" if "reason" in answer else "protectedTasks"].append(answer)
    return found


def _is_blocked(backend: Any, task: Any) -> bool:
    service = backend.services[f"{task.cluster_name}:{task.group.removeprefix('service:')}"]
    others = (
        each
        for each in backend.list_tasks(task.cluster_name, service_name=service.name)
        if each is not task and is_protected(each)
    )
    return len(service.deployments) > 1 and sum(1 for _ in others) >= service.desired_count


def _shown(task: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"taskArn": task.task_arn, "protectionEnabled": is_protected(task)}
    if found["protectionEnabled"]:
        found["expirationDate"] = task.protection_expires
    return found
