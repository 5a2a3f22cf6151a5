"""The metrics of a stage in the twin: those of its processes, and those that ECS writes."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import psutil
from moto.ecs.models import Service

from scripts.host.guard import Guard
from scripts.twin.backends import Backends
from scripts.twin.client.state import MINUTE_SECONDS, Twin
from scripts.twin.cloudwatch import emf
from scripts.twin.cloudwatch.metric_data import put

log = logging.getLogger("twin.metrics")

MIB = 1024 * 1024


class Metrics:
    """Writes the CPU, memory and counts of ECS tasks to CloudWatch every minute, and makes
    CloudWatch Logs read metrics.

    CPU is in percent of one core of this machine: a local process is not limited to the part of a
    core in its task definition.
    """

    def __init__(self, backends: Backends, twin: Twin, guard: Guard | None) -> None:
        self._backends = backends
        self._known: dict[int, psutil.Process] = {}  # psutil measures CPU since its last call
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        emf.apply()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_stopping.wait(MINUTE_SECONDS):
            try:
                self.write()
            except Exception:
                log.exception("no metrics of ECS in this minute")

    def write(self) -> None:
        """Write the data points of one minute for every ECS service."""
        seen: dict[int, psutil.Process] = {}
        for service in list(self._backends.ecs.services.values()):
            if service.status != "ACTIVE":
                continue
            dimensions = {"ClusterName": service.cluster_name, "ServiceName": service.name}
            tasks = list(self._tasks(service))
            used = [use for task in tasks if (use := self._use(task, seen))]
            put(
                self._backends.cloudwatch,
                "AWS/ECS",
                [("CPUUtilization", dimensions, cpu) for cpu, _ in used]
                + [("MemoryUtilization", dimensions, memory) for _, memory in used],
                units={"CPUUtilization": "Percent", "MemoryUtilization": "Percent"},
            )
            if not tasks:  # as Container Insights does
                continue
            counts = {
                "DesiredTaskCount": service.desired_count,
                "RunningTaskCount": service.running_count,
                "PendingTaskCount": service.pending_count,
            }
            put(
                self._backends.cloudwatch,
                "ECS/ContainerInsights",
                [(name, dimensions, count) for name, count in counts.items()],
            )
        self._known = seen

    def _tasks(self, service: Service) -> Iterator[Any]:
        for task in list(self._backends.ecs.tasks.get(service.cluster_name, {}).values()):
            if task.group == f"service:{service.name}" and task.last_status == "RUNNING":
                yield task

    def _use(self, task: Any, seen: dict[int, psutil.Process]) -> tuple[float, float] | None:
        """CPU and memory of an ECS task in percent; None where no process of it runs."""
        cpu, memory, found = 0.0, 0, False
        for container in task.containers:
            for process in _processes(container):
                try:
                    known = self._known.get(process.pid)
                    if known is None or known.create_time() != process.create_time():
                        known = process
                    cpu += known.cpu_percent()
                    memory += known.memory_info().rss
                    seen[known.pid] = known
                    found = True
                except psutil.Error:
                    continue  # it has ended
        if not found:
            return None
        limit = int(getattr(task, "memory", None) or 0) * MIB
        return min(cpu, 100.0), 100 * memory / limit if limit else 0.0


def _processes(container: Any) -> list[psutil.Process]:
    """A container's process and its children."""
    if not container.is_running:
        return []
    try:
        first = psutil.Process(container.pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []
