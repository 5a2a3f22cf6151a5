"""Reconciles one ECS service: compares its ECS tasks with what is wanted, and takes next steps."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.twin.ecs.deployment import FAILED, Deployment, setting
from scripts.twin.ecs.health_check import UNHEALTHY
from scripts.twin.ecs.rollout import judge
from scripts.twin.ecs.service_events import say
from scripts.twin.ecs.target_registration import Registration
from scripts.twin.ecs.task import EcsTask
from scripts.twin.ecs.task_record import NOT_YET, is_protected, now

SCHEDULER = "ServiceSchedulerInitiated"
FAILURES_REPORTED = 3  # failures in a row until an event reports them


@dataclass
class Reconciliation:
    """`service` is moto's; `tasks` are all its ECS tasks that have not stopped."""

    service: Any
    tasks: list[EcsTask]
    elbv2: Any
    start: Callable[[Deployment], EcsTask]

    def run(self) -> None:
        """Take the steps that are possible now, and update the counts."""
        if self.service.status == "DRAINING":
            self._drain()
        if self.service.status == "ACTIVE":
            self._count_failures()
            self._register()
            self._stop_unhealthy()
            self._start_missing()
            self._stop_surplus()
            judge(self.service, self.tasks)
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
        if deployment.failed_tasks == FAILURES_REPORTED:
            say(self.service, "is unable to consistently start tasks successfully.")

    def _register(self) -> None:
        for balanced in self.service.load_balancers:
            arn = balanced["targetGroupArn"]
            starting = [t for t in self._wanted if t.is_running and t.registration is None]
            for task in starting:
                task.registration = Registration(self.elbv2, arn, task.port)
                task.registration.open()
            if starting:
                say(self.service, f"registered {len(starting)} targets in (target-group {arn})")

    def _stop_unhealthy(self) -> None:
        grace = float(getattr(self.service, "health_check_grace_period_seconds", None) or 0)
        for task in self._wanted:
            if task.record.health_status == UNHEALTHY:
                say(self.service, f"(task {task.record.id}) failed container health checks.")
                self._replace(task, "Task failed container health checks")
            # The grace period is for the start, so it ends once the ECS task was healthy.
            elif (
                task.registration
                and task.registration.is_unhealthy
                and (task.was_healthy or task.running_seconds > grace)
            ):
                group = f"(target-group {task.registration.group_arn})"
                say(
                    self.service,
                    f"(port {task.port}) is unhealthy in {group} due to (reason Health checks "
                    "failed)",
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
        most = math.floor(desired * int(setting(self.service, "maximumPercent", 200)) / 100)
        count = min(desired - len(self._new), most - len(self._wanted))
        started = [self.start(primary) for _ in range(count)]
        self.tasks.extend(started)
        if started:
            say(self.service, f"has started {len(started)} tasks: {_named(started)}.")

    def _stop_surplus(self) -> None:
        desired, new = self.service.desired_count, self._new
        free = [task for task in new if not is_protected(task.record)]
        free.sort(key=lambda task: (task.is_healthy, -task.record.created_at.timestamp()))
        surplus = free[: max(0, len(new) - desired)]
        least = math.ceil(desired * int(setting(self.service, "minimumHealthyPercent", 100)) / 100)
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
        if drained:
            say(self.service, f"has begun draining connections on {len(drained)} tasks.")
        for arn in {task.registration.group_arn for task in drained if task.registration}:
            say(self.service, f"deregistered {len(drained)} targets in (target-group {arn})")
        say(self.service, f"has stopped {len(stopped)} running tasks: {_named(stopped)}.")

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

    def _deployment_of(self, task: EcsTask) -> Deployment | None:
        found: list[Deployment] = self.service.deployments
        return next((each for each in found if each.id == task.record.started_by), None)


def _named(tasks: list[EcsTask]) -> str:
    return " ".join(f"(task {task.record.id})" for task in tasks)


def _count(tasks: list[EcsTask], statuses: set[str]) -> int:
    return sum(task.record.last_status in statuses for task in tasks)
