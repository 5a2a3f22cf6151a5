"""The load balancer's health checks, as the target group says, but more often."""

import asyncio
import time

import aiohttp
from moto.elbv2.models import FakeTargetGroup

from scripts.twin.backends import Backends
from scripts.twin.client.state import MINUTE_SECONDS
from scripts.twin.elb import target_health
from scripts.twin.elb.target_health import DRAINING, HEALTHY, INITIAL, UNHEALTHY, Target

POLL_SECONDS = 0.1  # for new and deregistered targets


class HealthChecks:
    """Updates the state of every registered target, and drains the deregistered ones."""

    def __init__(self, backends: Backends, session: aiohttp.ClientSession) -> None:
        self._backends = backends
        self._session = session
        self._watched: set[Target] = set()

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as watches:
            while True:
                for group in list(self._backends.elbv2.target_groups.values()):
                    for target in target_health.targets_of(group):
                        if target.state == DRAINING:
                            _let_drain(group, target)
                        elif target not in self._watched:
                            self._watched.add(target)
                            watches.create_task(self._watch(group, target))
                await asyncio.sleep(POLL_SECONDS)

    async def _watch(self, group: FakeTargetGroup, target: Target) -> None:
        target.set_state(INITIAL, *target_health.CHECKING)
        interval = int(group.health_check_interval_seconds) * MINUTE_SECONDS / 60
        while (
            target.state != DRAINING and target_health.find(group, target.id, target.port) is target
        ):
            _judge(group, target, await self._why_not(group, target))
            await asyncio.sleep(interval)
        self._watched.discard(target)

    async def _why_not(self, group: FakeTargetGroup, target: Target) -> tuple[str, str] | None:
        """Reason and description of a failed check; None where it passed."""
        # The timeout is the full one: this machine is not faster than AWS.
        timeout = aiohttp.ClientTimeout(total=int(group.health_check_timeout_seconds))
        url = f"http://{target.id}:{target.port}{group.health_check_path or '/'}"
        try:
            async with self._session.get(
                url, timeout=timeout, allow_redirects=False,
                headers={"User-Agent": "ELB-HealthChecker/2.0"},
            ) as answer:  # fmt: skip
                if _matches(answer.status, str(group.matcher["HttpCode"])):
                    return None
                return (
                    "Target.ResponseCodeMismatch",
                    f"Health checks failed with these codes: [{answer.status}]",
                )
        except TimeoutError:
            return "Target.Timeout", "Request timed out"
        except (aiohttp.ClientError, OSError):
            return "Target.FailedHealthChecks", "Health checks failed"


def _judge(group: FakeTargetGroup, target: Target, why_not: tuple[str, str] | None) -> None:
    if why_not is None:
        target.passed, target.failed = target.passed + 1, 0
        if target.passed >= int(group.healthy_threshold_count):
            target.set_state(HEALTHY)
    else:
        target.passed, target.failed = 0, target.failed + 1
        if target.failed >= int(group.unhealthy_threshold_count):
            target.set_state(UNHEALTHY, *why_not)


def _matches(status: int, codes: str) -> bool:
    """Is `status` one of `codes`, such as 200, 200,302 or 200-299?"""
    for code in codes.split(","):
        first, _, last = code.strip().partition("-")
        if int(first) <= status <= int(last or first):
            return True
    return False


def _let_drain(group: FakeTargetGroup, target: Target) -> None:
    """Remove the target when its last request is answered, or after the full delay."""
    now = time.monotonic()
    if target.drains_until is None:
        delay = float(str(group.attributes["deregistration_delay.timeout_seconds"]))
        target.drains_until = now + delay
    if not target.open_requests or now > target.drains_until:
        target_health.forget(group, target)
