"""The loop of Application Auto Scaling: changes counts as alarms and scaling policies say."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from moto.applicationautoscaling.models import FakeApplicationAutoscalingPolicy, FakeScalableTarget
from moto.cloudwatch.models import Alarm
from moto.ecs.models import Service

from scripts.host.guard import Guard
from scripts.twin.autoscaling import scaling_activities, scheduled_actions, target_tracking
from scripts.twin.autoscaling.scaling_activities import Activity
from scripts.twin.autoscaling.scaling_policy import (
    Cooldowns,
    Past,
    Wish,
    base_of,
    by_steps,
    by_target,
    choose,
)
from scripts.twin.backends import Backends
from scripts.twin.client.state import MINUTE_SECONDS, Twin
from scripts.twin.cloudwatch import alarm_states
from scripts.twin.cloudwatch.alarm_states import ALARM, Verdict
from scripts.twin.cloudwatch.series import Series

log = logging.getLogger("twin.scaling")

POLL_SECONDS = 0.5  # for changed bounds; alarms are evaluated once a minute

Verdicts = Mapping[str, Verdict]
Policy = FakeApplicationAutoscalingPolicy


class Scaling:
    """Updates the state of every alarm, and changes desired counts as the scaling policies say.

    A minute lasts five seconds, in periods and in cooldowns. When the count falls, the agent
    chooses the ECS tasks that stop; protected ones stay.
    """

    def __init__(self, backends: Backends, twin: Twin, guard: Guard | None) -> None:
        self._backends = backends
        self._past: dict[str, Past] = {}  # by the policy's ARN
        self._bounds: dict[str, tuple[Any, Any]] = {}  # by the resource's id, at the last poll
        self._warned: set[str] = set()  # names of alarms
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scaling", daemon=True)
        alarm_states.apply()
        target_tracking.apply()
        scaling_activities.apply()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping.set()
        self._thread.join()

    def _run(self) -> None:
        minute = 0
        while not self._is_stopping.wait(POLL_SECONDS):
            now = time.time()
            try:
                scheduled_actions.apply_due(self._backends.autoscaling, datetime.now(UTC))
                self.keep_bounds()
                if now // MINUTE_SECONDS != minute:
                    minute = int(now // MINUTE_SECONDS)
                    self.evaluate(now)
            except Exception:
                log.exception("scaling failed")

    def keep_bounds(self) -> None:
        """Move counts that are outside changed bounds; end the activities that are done."""
        for target, service in self._services():
            bounds = (target.min_capacity, target.max_capacity)
            if self._bounds.get(target.resource_id) == bounds or None in bounds:
                continue
            self._bounds[target.resource_id] = bounds
            lowest, highest = int(bounds[0] or 0), int(bounds[1] or 0)
            if service.desired_count < lowest:
                self._set(target, lowest, f"minimum capacity was set to {lowest}")
            elif service.desired_count > highest:
                self._set(target, highest, f"maximum capacity was set to {highest}")
        running = {target.resource_id: service for target, service in self._services()}
        scaling_activities.finish(self._backends.autoscaling, lambda each: _is_done(each, running))

    def evaluate(self, now: float) -> None:
        """Evaluate the alarms and then the policies of every resource, once a minute."""
        cloudwatch = self._backends.cloudwatch
        since = now - alarm_states.span_seconds(list(cloudwatch.alarms.values()))
        verdicts = alarm_states.update(cloudwatch, Series(cloudwatch, since), now)
        for name, verdict in verdicts.items():
            if verdict.reason.startswith("the local twin") and name not in self._warned:
                self._warned.add(name)
                log.warning("alarm %s: %s", name, verdict.reason)
        for target, service in self._services():
            self._scale(target, service.desired_count, verdicts, now)

    def _scale(
        self, target: FakeScalableTarget, current: int, verdicts: Verdicts, now: float
    ) -> None:
        policies = {
            each.policy_arn: each
            for each in list(self._backends.autoscaling.policies.values())
            if each.resource_id == target.resource_id
            and each.scalable_dimension == target.scalable_dimension
        }
        outs, ins, is_in_agreed = [], [], True
        for policy in policies.values():
            out, into = self._wishes(policy, current, verdicts, now)
            outs += [out] if out else []
            ins += [into] if into else []
            if policy.policy_type != "StepScaling" and target_tracking.alarm_of(
                policy, target_tracking.LOW
            ):
                is_in_agreed &= into is not None
        chosen = choose(
            current=current,
            lowest=int(target.min_capacity or 0),
            highest=int(target.max_capacity or 0),
            outs=[] if _is_suspended(target, "Out") else outs,
            ins=[] if _is_suspended(target, "In") or not is_in_agreed else ins,
        )
        if chosen is None:
            return
        count, wish = chosen
        policy = next(each for each in policies.values() if each.policy_name == wish.policy)
        past = self._past.get(policy.policy_arn, Past())
        if count > current:
            past = replace(past, out_at=now, out_from=wish.counted_from, in_at=Past.in_at)
        else:
            past = replace(past, in_at=now)
        self._past[policy.policy_arn] = past
        cause = f"monitor alarm {wish.alarm} in state ALARM triggered policy {wish.policy}"
        self._set(target, count, cause)

    def _wishes(
        self, policy: Policy, current: int, verdicts: Verdicts, now: float
    ) -> tuple[Wish | None, Wish | None]:
        """The wish to scale out and the wish to scale in."""
        config: Mapping[str, Any] = policy._policy_body  # noqa: SLF001
        past = self._past.get(policy.policy_arn, Past())
        cooldowns = Cooldowns.of(str(policy.policy_type), config, minute=MINUTE_SECONDS)
        base = base_of(past, cooldowns, current, now)
        out, into = None, None
        for alarm in self._backends.cloudwatch.get_alarms_by_action_prefix(policy.policy_arn):
            verdict = verdicts.get(alarm.name)
            if verdict is None or verdict.state != ALARM or verdict.value is None:
                continue
            if not alarm.actions_enabled:
                continue

            if (more := _counted(policy, verdict.value, alarm, base)) > current:
                out = Wish(more, policy.policy_name, alarm.name, base)
            elif now >= past.in_at + cooldowns.into:
                fewer = _counted(policy, verdict.value, alarm, current)
                if fewer < current:
                    into = Wish(fewer, policy.policy_name, alarm.name, current)
        return out, into

    def _set(self, target: FakeScalableTarget, count: int, cause: str) -> None:
        _, cluster, service = target.resource_id.split("/")
        self._backends.ecs.update_service(
            {"cluster": cluster, "service": service, "desired_count": count}
        )
        scaling_activities.finish(
            self._backends.autoscaling,
            lambda each: each.target.resource_id == target.resource_id,
        )
        scaling_activities.record(self._backends.autoscaling, Activity(target, count, cause))
        log.info("%s: desired count %d, because %s", target.resource_id, count, cause)

    def _services(self) -> Iterator[tuple[FakeScalableTarget, Service]]:
        """The scalable targets whose ECS service exists."""
        for resources in list(self._backends.autoscaling.targets.values()):
            for target in list(resources.values()):
                if target.service_namespace != "ecs":
                    continue
                _, cluster, name = target.resource_id.split("/")
                service = self._backends.ecs.services.get(f"{cluster}:{name}")
                if service is not None and service.status == "ACTIVE":
                    yield target, service


def _counted(policy: Policy, value: float, alarm: Alarm, start: int) -> int:
    """The count that a policy wants instead of `start`."""
    config: Mapping[str, Any] = policy._policy_body  # noqa: SLF001
    if policy.policy_type == "StepScaling":
        return by_steps(config, value - float(alarm.threshold), start)
    return by_target(config, value, start)


def _is_suspended(target: FakeScalableTarget, direction: str) -> bool:
    state: Any = target.suspended_state or {}
    return str(state.get(f"DynamicScaling{direction}Suspended", False)).lower() == "true"


def _is_done(activity: Activity, running: Mapping[str, Service]) -> bool:
    service = running.get(activity.target.resource_id)
    return service is None or service.running_count == activity.count
