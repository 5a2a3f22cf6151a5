"""The log driver: sends the lines of containers to moto's CloudWatch Logs, in order."""

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, Queue
from typing import Any

from moto.logs.models import LogStream

from scripts.twin.backends import Backends
from scripts.twin.client.permissions import Entry
from scripts.twin.ecs.container import CannotStartError, Container
from scripts.twin.ecs.task_roles import TaskRoles

log = logging.getLogger("twin.agent")

BATCH_SECONDS = 0.1
BATCH_LINES = 1000
# With more waiting lines a container is blocked at its next line, as in the mode `blocking`.
WAITING_MAX = 10_000
# The twin keeps logs in memory, so only the newest events of each stream and group.
STREAM_EVENTS_MAX, GROUP_EVENTS_MAX = 50_000, 200_000

NO_STREAM = (
    "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 "
    "times: failed to create Cloudwatch log stream: {} : exit status 1"
)

OnLine = Callable[[Any, str, str], None]  # moto's record of the ECS task, container's name, line

_listeners: list[OnLine] = []


def listen(on_line: OnLine) -> None:
    """Call `on_line` with every line, in its reader's thread; it must be fast and not raise."""
    _listeners.append(on_line)


class Lines:
    """Sends lines to moto's CloudWatch Logs."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._streams: dict[str, tuple[str, str]] = {}  # the last one of each ECS task, by its id
        if backends.judge is not None:
            backends.judge.listen(self._tell)
        self._waiting: Queue[tuple[str, str, dict[str, Any]]] = Queue(WAITING_MAX)
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._ship, name="lines", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send the lines that wait, and stop."""
        self._is_stopping.set()
        self._thread.join()

    def open(self, task: Any, container: Container, roles: TaskRoles) -> Callable[[str], None]:
        """A function that takes the lines of a container. Raises `CannotStartError` without its log
        group, and where the execution role may not write there."""
        options = (container.definition.get("logConfiguration") or {}).get("options", {})
        group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
        stream = f"{prefix}/{container.name}/{task.id}"
        if group:
            self._streams[task.id] = group, stream
            _check_rights(task, group, stream, roles)
            self._make_stream(group, stream, is_made=options.get("awslogs-create-group") == "true")

        def write(line: str) -> None:
            for listener in _listeners:
                try:
                    listener(task, container.name, line)
                except Exception:
                    log.exception("a listener failed at a line of %s", stream)
            if group and line:  # CloudWatch refuses an empty event
                event = {"timestamp": time.time_ns() // 1_000_000, "message": line}
                self._waiting.put((group, stream, event))

        return write

    def close(self, task_id: str) -> None:
        """The ECS task has ended."""
        self._streams.pop(task_id, None)

    def _tell(self, refused: Entry) -> None:
        """Write the refusal of a right into the log of its ECS task, as a line of the service."""
        if (found := self._streams.get(refused.session)) is None:
            return
        at = datetime.fromtimestamp(refused.at, UTC)
        line = {
            "event": str(refused), "logger": "iam", "level": "warning",
            "timestamp": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}", "process": "twin",
        }  # fmt: skip
        event = {"timestamp": int(refused.at * 1000), "message": json.dumps(line)}
        self._waiting.put((*found, event))

    def _make_stream(self, group: str, stream: str, *, is_made: bool) -> None:
        logs = self._backends.logs
        if group not in logs.groups and is_made:
            logs.create_log_group(group, {})
        if group not in logs.groups:
            words = "ResourceNotFoundException: The specified log group does not exist."
            raise CannotStartError(NO_STREAM.format(words))
        found = logs.groups[group]
        if stream not in found.streams:
            # A new dict, because another thread may be reading the old one.
            found.streams = {**found.streams, stream: LogStream(found, stream)}

    def _ship(self) -> None:
        while not (self._is_stopping.is_set() and self._waiting.empty()):
            if self._waiting.qsize() < BATCH_LINES:
                self._is_stopping.wait(BATCH_SECONDS)
            batches: dict[tuple[str, str], list[dict[str, Any]]] = {}
            try:
                for _ in range(BATCH_LINES):
                    group, stream, event = self._waiting.get_nowait()
                    batches.setdefault((group, stream), []).append(event)
            except Empty:
                pass
            for (group, stream), events in batches.items():
                try:
                    self._put(group, stream, events)
                except Exception:
                    log.exception("%d lines of %s are lost", len(events), stream)

    def _put(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        found = self._backends.logs.groups.get(group)
        if found is None or stream not in found.streams:
            return  # the group or the stream was deleted
        kept = found.streams[stream]
        events.sort(key=lambda event: int(event["timestamp"]))  # the clock may be set back
        kept.put_log_events(events)
        if len(kept.events) > STREAM_EVENTS_MAX:
            kept.events = kept.events[-STREAM_EVENTS_MAX:]
        held = sum(len(each.events) for each in found.streams.values())
        left = dict(found.streams)
        for name, each in found.streams.items():  # the oldest first
            if held <= GROUP_EVENTS_MAX or each is kept:
                break
            held -= len(each.events)
            del left[name]
        if len(left) < len(found.streams):
            found.streams = left


def _check_rights(task: Any, group: str, stream: str, roles: TaskRoles) -> None:
    region, account = task.task_arn.split(":")[3:5]
    resource = f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        if refused := roles.refusal(action, resource):
            raise CannotStartError(NO_STREAM.format(f"AccessDeniedException: {refused}"))
