"""One look at one ECS service: what it has against what it wants, and the next steps to it."""

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.twin.agent.deployment import (
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    Deployment,
    roll_back,
    threshold,
)
from scripts.twin.agent.health import UNHEALTHY
from scripts.twin.agent.record import NOT_YET, is_protected, now
from scripts.twin.agent.registration import Registration
from scripts.twin.agent.task import EcsTask

EVENTS_MAX = 100
SCHEDULER = "ServiceSchedulerInitiated"
STRUGGLES = 3  # failures in a row until ECS says so


@dataclass
class Look:
    """`service` is moto's, `tasks` are all of its ECS tasks that have not stopped for good."""

    service: Any
    tasks: list[EcsTask]
    elbv2: Any
    start: Callable[[Deployment], EcsTask]

    def act(self) -> None:
        """Take the steps that are possible now, and bring what is shown up to date."""
        if self.service.status == "DRAINING":
            self._drain()
        if self.service.status == "ACTIVE":
            self._count_failures()
            self._register()
            self._stop_unhealthy()
            self._start_missing()
            self._stop_surplus()
            self._judge()
        self._show()

    @property
    def _primary(self) -> Deployment:
        first: Deployment = self.service.deployments[0]
        return first

    @property
    def _wanted(self) -> list[EcsTask]:
        return [task for task in self.tasks if task.is_wanted]

    @property
    def _new(self) -> list[EcsTask]:
        return [task for task in self._wanted if task.record.started_by == self._primary.id]

    @property
    def _old(self) -> list[EcsTask]:
        return [task for task in self._wanted if task.record.started_by != self._primary.id]

    def _setting(self, name: str, default: Any) -> Any:
        found = (getattr(self.service, "deployment_configuration", None) or {}).get(name)
        return default if found is None else found

    def _drain(self) -> None:
        self._stop(self._wanted)
        if not self.tasks:
            self.service.status = "INACTIVE"
            self.service.inactive_since = now()
            self.service.deployments = []

    def _count_failures(self) -> None:
        for task in self.tasks:
            if task.is_healthy:
                task.was_healthy = True
                if deployment := self._deployment_of(task):
                    deployment.failed_tasks, deployment.not_before = 0, 0.0
            elif not task.is_wanted and not task.is_counted and task.has_failed:
                self._count_failure(task)

    def _count_failure(self, task: EcsTask) -> None:
        task.is_counted = True
        deployment = self._deployment_of(task)
        if deployment is None:
            return
        deployment.note_failure(time.monotonic())
        if deployment.failed_tasks == STRUGGLES:
            self._say("is unable to consistently start tasks successfully.")

    def _register(self) -> None:
        for balanced in self.service.load_balancers:
            arn = balanced["targetGroupArn"]
            starting = [t for t in self._wanted if t.is_running and t.registration is None]
            for task in starting:
                task.registration = Registration(self.elbv2, arn, task.port)
                task.registration.open()
            if starting:
                self._say(f"registered {len(starting)} targets in (target-group {arn})")

    def _stop_unhealthy(self) -> None:
        grace = float(getattr(self.service, "health_check_grace_period_seconds", None) or 0)
        for task in self._wanted:
            if task.record.health_status == UNHEALTHY:
                self._say(f"(task {task.record.id}) failed container health checks.")
                self._replace(task, "Task failed container health checks")
            # The grace period is for the start: what was well has started, and is not waited for.
            elif (
                task.registration
                and task.registration.is_unhealthy
                and (task.was_healthy or task.running_seconds > grace)
            ):
                group = f"(target-group {task.registration.group_arn})"
                self._say(
                    f"(port {task.port}) is unhealthy in {group} due to (reason Health checks "
                    "failed)"
                )
                self._replace(task, f"Task failed ELB health checks in {group}")

    def _replace(self, task: EcsTask, reason: str) -> None:
        self._stop([task], reason)
        self._count_failure(task)

    def _start_missing(self) -> None:
        primary = self._primary
        if primary.rollout_state == FAILED or time.monotonic() < primary.not_before:
            return
        desired = self.service.desired_count
        most = math.floor(desired * int(self._setting("maximumPercent", 200)) / 100)
        count = min(desired - len(self._new), most - len(self._wanted))
        started = [self.start(primary) for _ in range(count)]
        self.tasks.extend(started)
        if started:
            self._say(f"has started {len(started)} tasks: {_named(started)}.")

    def _stop_surplus(self) -> None:
        desired, new = self.service.desired_count, self._new
        free = [task for task in new if not is_protected(task.record)]
        free.sort(key=lambda task: (task.is_healthy, -task.record.created_at.timestamp()))
        surplus = free[: max(0, len(new) - desired)]
        least = math.ceil(desired * int(self._setting("minimumHealthyPercent", 100)) / 100)
        spare = sum(task.is_healthy for task in self._wanted if task not in surplus) - least
        old = [task for task in self._old if not is_protected(task.record)]
        old.sort(key=lambda task: (task.is_healthy, task.record.created_at))
        for task in old:
            if task.is_healthy:
                spare -= 1
            elif self._primary.rollout_state == FAILED:
                continue
            if not task.is_healthy or spare >= 0:
                surplus.append(task)
        self._stop(surplus)

    def _stop(self, tasks: list[EcsTask], reason: str | None = None) -> None:
        stopped = [
            task
            for task in tasks
            if task.stop(
                SCHEDULER,
                reason or f"Scaling activity initiated by (deployment {task.record.started_by})",
            )
        ]
        if not stopped:
            return
        drained = [task for task in stopped if task.registration]
        for arn in {task.registration.group_arn for task in drained if task.registration}:
            self._say(f"deregistered {len(drained)} targets in (target-group {arn})")
        if drained:
            self._say(f"has begun draining connections on {len(drained)} tasks.")
        self._say(f"has stopped {len(stopped)} running tasks: {_named(stopped)}.")

    def _judge(self) -> None:
        primary, desired, new = self._primary, self.service.desired_count, self._new
        if primary.rollout_state == IN_PROGRESS:
            is_whole = len(new) == desired and all(task.is_healthy for task in new)
            if is_whole and not self._old and not self._waits_for_old():
                primary.turn(COMPLETED, f"ECS deployment {primary.id} completed.")
                self._say("deployment completed.", primary)
            elif self._is_breaker_tripped():
                self._fail(primary)
        alive = {task.record.started_by for task in self.tasks}
        self.service.deployments = [
            each for each in self.service.deployments if each is self._primary or each.id in alive
        ]
        is_steady = (
            self._primary.rollout_state == COMPLETED
            and len(self.service.deployments) == 1
            and len(self._new) == desired
            and all(task.is_running for task in self._new)
        )
        if is_steady and not self.service.is_steady:
            self._say("has reached a steady state.")
        self.service.is_steady = is_steady

    def _waits_for_old(self) -> bool:
        early = self._setting("earlySuccessCriteria", {})
        if early.get("enable") and early.get("sourceServiceRevisionCleanup") == "DEFERRED":
            return False
        return any(task.record.started_by != self._primary.id for task in self.tasks)

    def _is_breaker_tripped(self) -> bool:
        breaker = self._setting("deploymentCircuitBreaker", {})
        return bool(breaker.get("enable")) and self._primary.failed_tasks >= threshold(self.service)

    def _fail(self, failed: Deployment) -> None:
        reason = "tasks failed to start."
        failed.turn(FAILED, f"ECS deployment circuit breaker: {reason}")
        self._say(f"deployment failed: {reason}", failed)
        if not self._setting("deploymentCircuitBreaker", {}).get("rollback"):
            return
        if target := roll_back(self.service, failed):
            self._say(f"rolling back to deployment {target.id}.")

    def _show(self) -> None:
        for deployment in self.service.deployments:
            own = [task for task in self.tasks if task.record.started_by == deployment.id]
            deployment.running_count = _count(own, {"RUNNING"})
            deployment.pending_count = _count(own, NOT_YET)
            is_primary = deployment is self.service.deployments[0]
            wanted = sum(task.is_wanted for task in own)
            deployment.desired_count = self.service.desired_count if is_primary else wanted
        self.service.running_count = _count(self.tasks, {"RUNNING"})
        self.service.pending_count = _count(self.tasks, NOT_YET)

    def say_once(self, words: str) -> bool:
        """An event, unless the last one said the same."""
        last = next(iter(self.service.events), {"message": ""})["message"]
        if last.endswith(words):
            return False
        self._say(words)
        return True

    def _deployment_of(self, task: EcsTask) -> Deployment | None:
        found: list[Deployment] = self.service.deployments
        return next((each for each in found if each.id == task.record.started_by), None)

    def _say(self, words: str, deployment: Deployment | None = None) -> None:
        named = f" (deployment {deployment.id})" if deployment else ""
        event = {
            "id": str(uuid.uuid4()),
            "createdAt": now(),
            "message": f"(service {self.service.name}){named} {words}",
        }
        self.service.events = [event, *self.service.events][:EVENTS_MAX]


def _named(tasks: list[EcsTask]) -> str:
    return " ".join(f"(task {task.record.id})" for task in tasks)


def _count(tasks: list[EcsTask], statuses: set[str]) -> int:
    return sum(task.record.last_status in statuses for task in tasks)
