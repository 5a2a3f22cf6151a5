"""The list of an ECS service's deployments, which includes those that have ended."""

from typing import Any

from moto.core.responses import ActionResult

from scripts.twin.ecs.deployment import COMPLETED, FAILED, Deployment, threshold


def list_them(self: Any) -> ActionResult:
    """The answer to ListServiceDeployments, newest first."""
    backend = self.ecs_backend
    wanted = self._get_param("status") or []
    with backend.lock:
        name = self._get_param("service").split("/")[-1]
        service = backend._get_service(self._get_param("cluster", "default"), name)  # noqa: SLF001
        shown = [_shown(service, each) for each in service.history]
    for each in shown:
        each["targetServiceRevisionArn"] = each["targetServiceRevision"]["arn"]
    return ActionResult(
        {"serviceDeployments": [e for e in shown if not wanted or e["status"] in wanted]}
    )


def describe(self: Any) -> ActionResult:
    """The answer to DescribeServiceDeployments."""
    return _found(self, "serviceDeploymentArns", "serviceDeployments", _shown)


def describe_revisions(self: Any) -> ActionResult:
    """The answer to DescribeServiceRevisions: the task definition of each deployment."""
    return _found(self, "serviceRevisionArns", "serviceRevisions", _revision)


def _found(self: Any, asked: str, key: str, show: Any) -> ActionResult:
    backend = self.ecs_backend
    arns = self._get_param(asked)
    with backend.lock:
        shown = [
            show(service, each)
            for service in backend.services.values()
            for each in service.history
            if _arn(service, each) in arns or _revision_arn(service, each) in arns
        ]
    known = {each.get("serviceDeploymentArn", each.get("serviceRevisionArn")) for each in shown}
    failures = [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in known]
    return ActionResult({key: shown, "failures": failures})


def _shown(service: Any, deployment: Deployment) -> dict[str, Any]:
    found: dict[str, Any] = {
        "serviceDeploymentArn": _arn(service, deployment),
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "createdAt": deployment.created_at,
        "startedAt": deployment.created_at,
        "finishedAt": deployment.finished_at,
        "updatedAt": deployment.updated_at,
        "status": _status(service, deployment),
        "statusReason": deployment.rollout_state_reason,
        "targetServiceRevision": _counts(service, deployment),
        "sourceServiceRevisions": [],
        "deploymentConfiguration": getattr(service, "deployment_configuration", None),
        "deploymentCircuitBreaker": {
            "status": "TRIGGERED" if deployment.rollout_state == FAILED else "MONITORING",
            "failureCount": deployment.failed_tasks,
            "threshold": threshold(service),
        },
    }
    if deployment.has_completed:
        found["deploymentCircuitBreaker"]["status"] = "MONITORING_COMPLETE"
    if deployment.source:
        found["sourceServiceRevisions"] = [_counts(service, deployment.source)]
    if deployment.rollback:
        found["rollback"] = {
            "reason": deployment.rollout_state_reason,
            "startedAt": deployment.rollback_at,
            "serviceRevisionArn": _revision_arn(service, deployment.rollback),
        }
    return found


def _status(service: Any, deployment: Deployment) -> str:
    if deployment.has_completed:
        return "SUCCESSFUL"
    if back := deployment.rollback:
        states = {COMPLETED: "ROLLBACK_SUCCESSFUL", FAILED: "ROLLBACK_FAILED"}
        return states.get(back.rollout_state, "ROLLBACK_IN_PROGRESS")
    is_current = deployment in service.deployments[:1] and deployment.rollout_state != FAILED
    return "IN_PROGRESS" if is_current else "STOPPED"


def _counts(service: Any, deployment: Deployment) -> dict[str, Any]:
    return {
        "arn": _revision_arn(service, deployment),
        "requestedTaskCount": deployment.desired_count,
        "runningTaskCount": deployment.running_count,
        "pendingTaskCount": deployment.pending_count,
    }


def _revision(service: Any, deployment: Deployment) -> dict[str, Any]:
    return {
        "serviceRevisionArn": _revision_arn(service, deployment),
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "taskDefinition": deployment.task_definition,
        "launchType": deployment.launch_type,
        "platformVersion": deployment.platform_version,
        "networkConfiguration": deployment.network_configuration,
        "createdAt": deployment.created_at,
    }


def _arn(service: Any, deployment: Deployment) -> str:
    number = deployment.id.split("/")[-1]
    return f"{service.arn.replace(':service/', ':service-deployment/')}/{number}"


def _revision_arn(service: Any, deployment: Deployment) -> str:
    return f"{service.arn.replace(':service/', ':service-revision/')}/{deployment.revision}"
