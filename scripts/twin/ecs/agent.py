"""The loop of ECS: starts and stops ECS tasks until moto's state is as it is wanted."""

import logging
import shutil
import threading
from datetime import timedelta
from typing import Any

from moto.core.exceptions import ServiceException
from werkzeug.exceptions import HTTPException

from scripts.host.guard import Guard
from scripts.twin.backends import Backends
from scripts.twin.client.state import Twin
from scripts.twin.ecs import moto_ecs
from scripts.twin.ecs.awslogs import Lines
from scripts.twin.ecs.container_environment import folder_of
from scripts.twin.ecs.deployment import Deployment
from scripts.twin.ecs.moto_ecs import EcsBackend
from scripts.twin.ecs.service import Reconciliation
from scripts.twin.ecs.service_events import say_once
from scripts.twin.ecs.task import EcsTask, Place
from scripts.twin.ecs.task_record import NOT_YET, RUNNING, has_ended, now
from scripts.twin.elb import target_health

log = logging.getLogger("twin.agent")

POLL_SECONDS = 0.2
STOPPED_FOR = timedelta(hours=1)  # how long ECS shows a stopped ECS task
STOPPED_MAX = 500  # in a cluster, so that ECS tasks that fail again and again do not fill memory
STOP_SECONDS = 15  # when the twin ends, instead of longer stopTimeouts
END_SECONDS = 10  # for the clean-up after SIGKILL


class Agent:
    """Reconciles ECS tasks with moto's state, in a thread, as long as the twin runs."""

    def __init__(self, backends: Backends, twin: Twin, guard: Guard) -> None:
        moto_ecs.apply()
        target_health.apply()
        self._backends, self._twin, self._guard = backends, twin, guard
        self._lines = Lines(backends)
        self._tasks: dict[str, EcsTask] = {}  # by id, until they have stopped
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)

    def start(self) -> None:
        shutil.rmtree(folder_of("", self._twin), ignore_errors=True)  # of a twin that was killed
        self._lines.start()
        self._thread.start()

    def stop(self) -> None:
        """Drain and end every ECS task; kill those that take too long."""
        self._is_stopping.set()
        self._thread.join()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.stop("ServiceSchedulerInitiated", "The local twin stops", seconds_max=STOP_SECONDS)
        for task in tasks:
            task.join(STOP_SECONDS + END_SECONDS)
        self._lines.stop()

    @property
    def _ecs(self) -> EcsBackend:
        backend = self._backends.ecs
        assert isinstance(backend, EcsBackend)
        return backend

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            backend = self._ecs
            backend.asked.wait(POLL_SECONDS)
            backend.asked.clear()
            try:
                with backend.lock:
                    self._reconcile(backend)
            except Exception:
                log.exception("ECS could not be reconciled")

    def _reconcile(self, backend: EcsBackend) -> None:
        # Listed first, so that each ECS service sees the end of its ECS tasks before they go.
        over = [task for task in self._tasks.values() if task.is_over]
        for record in backend.running_tasks():
            if record.id not in self._tasks:  # from RunTask
                self._start(backend, record)
        for service in list(backend.services.values()):
            if service.status in {"ACTIVE", "DRAINING"}:
                self._reconcile_service(backend, service)
        for task in over:
            del self._tasks[task.record.id]
        self._forget(backend)
        self._count(backend)

    def _reconcile_service(self, backend: EcsBackend, service: Any) -> None:
        group = f"service:{service.name}"
        tasks = [
            task
            for task in self._tasks.values()
            if task.record.group == group and task.record.cluster_name == service.cluster_name
        ]

        def start(deployment: Deployment) -> EcsTask:
            return self._start(backend, backend.run_for(service, deployment))

        try:
            Reconciliation(service, tasks, self._backends.elbv2, start).run()
        except (HTTPException, ServiceException) as error:  # for example, its subnet was deleted
            say_once(service, f"was unable to place a task. Reason: {error}.")
        except Exception as error:
            if say_once(service, f"The local twin failed: {error!r}"):
                log.exception("ECS service %s", service.name)

    def _start(self, backend: EcsBackend, record: Any) -> EcsTask:
        place = Place(backend, self._backends, self._twin, self._guard, self._lines)
        task = self._tasks[record.id] = EcsTask(record, place)
        task.start()
        return task

    def _forget(self, backend: EcsBackend) -> None:
        limit = now() - STOPPED_FOR
        for tasks in backend.tasks.values():
            ended: list[Any] = [task for task in tasks.values() if has_ended(task)]
            ended.sort(key=lambda task: task.stopped_at)
            for place, task in enumerate(ended):
                if task.stopped_at < limit or place < len(ended) - STOPPED_MAX:
                    del tasks[task.task_arn]
        services: dict[str, Any] = backend.services
        for name, service in list(services.items()):
            if service.status == "INACTIVE" and service.inactive_since < limit:
                del services[name]

    def _count(self, backend: EcsBackend) -> None:
        for cluster in backend.clusters.values():
            statuses = [task.last_status for task in backend.tasks.get(cluster.name, {}).values()]
            cluster.running_tasks_count = statuses.count(RUNNING)
            cluster.pending_tasks_count = sum(status in NOT_YET for status in statuses)
            cluster.active_services_count = sum(
                service.status == "ACTIVE" and service.cluster_name == cluster.name
                for service in backend.services.values()
            )
