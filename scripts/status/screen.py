"""The screen of `moor status`."""

from collections import Counter
from datetime import datetime
from typing import Any

from scripts.ecs.alarms import RINGS
from scripts.ecs.targets import HEALTHY
from scripts.status.health import Health, QueueHealth, ServiceHealth
from scripts.terminal.answer import DASH, make_line, make_table
from scripts.terminal.duration import in_words

WARNING, DIM, BOLD = "yellow", "dim", "bold"


def draw(health: Health) -> Any:
    """The screen, for Rich."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [
        make_line(f"stage {health.stage}, {health.at:%Y-%m-%d %H:%M:%S} UTC", BOLD),
        Text(),
        make_table(
            ("service", "desired", "running", "pending", "bounds", "revision", "rollout", ""),
            [_service(each) for each in health.services],
        ),
        Text(),
        *(make_line(line) for line in _lines(health)),
    ]
    if health.warnings:
        parts += [Text(), *(make_line(f"! {line}", WARNING) for line in health.warnings)]
    if health.stopped:
        rows = [
            (
                _ago(each.at, health.at),
                each.of,
                each.id[:8],
                each.stop_code,
                each.reason,
                ", ".join(f"{name} {code}" for name, code in each.exit_codes.items()),
            )
            for each in health.stopped
        ]
        columns = ("stopped", "of", "ECS task", "code", "reason", "exit codes")
        parts += [Text(), make_table(columns, rows)]
    events = [
        (
            _ago(event.at, health.at),
            each.process,
            event.text.removeprefix(f"(service {each.name}) "),
        )
        for each in health.services
        for event in each.events
    ]
    if events:
        parts += [Text(), make_table(("event", "of", "what ECS says"), events)]
    return Group(*parts)


def _service(service: ServiceHealth) -> tuple[object, ...]:
    leaving = f"{service.leaving} of an earlier deployment" if service.leaving else ""
    notes = [service.starting, leaving]
    return (
        service.process,
        service.desired,
        service.running,
        service.pending,
        service.bounds or DASH,
        service.revision,
        service.rollout,
        ", ".join(note for note in notes if note) or " ",
    )


def _lines(health: Health) -> list[str]:
    states = Counter(each.state for each in health.targets)
    targets = ", ".join(f"{number} {state}" for state, number in states.items()) or "none"
    unhealthy = [
        ("", f"{each.address} {each.state}: {each.reason}")
        for each in health.targets
        if each.state != HEALTHY and each.reason
    ]
    counts = _counts(health.queue, "unknown: neither CloudWatch nor the API has its numbers")
    pools = [
        (process, _counts(queue, "unknown: CloudWatch has no numbers of it yet"))
        for process, queue in health.pools.items()
    ]
    acu = [("database", f"{health.acu:g} ACU")] if health.acu is not None else []
    alarms = [("alarms", _alarms(health))] if health.alarms else []
    rows = [("targets", targets), *unhealthy, ("queue", counts), *pools, *acu, *alarms]
    width = max(10, *(len(label) for label, _ in rows))
    return [f"{label:<{width}} {text}" for label, text in rows]


def _counts(queue: QueueHealth | None, unknown: str) -> str:
    if not queue:
        return unknown
    at = f", at {queue.at:%H:%M:%S}" if queue.at else ""
    return (
        f"backlog {queue.backlog}, oldest job {queue.oldest_job_seconds:.0f} s, "
        f"{queue.workers_alive} workers alive{at}"
    )


def _alarms(health: Health) -> str:
    on = [alarm for alarm in health.alarms if alarm.tells]
    rings = [alarm.section for alarm in on if alarm.state == RINGS]
    off = len(health.alarms) - len(on)
    return ", ".join(
        [
            f"{len(rings)} of {len(on)} ring: {', '.join(rings)}" if rings else "none rings",
            *([f"{off} are off"] if off else []),
        ]
    )


def _ago(at: datetime | None, now: datetime) -> str:
    return f"{in_words(now - at)} ago" if at else DASH
