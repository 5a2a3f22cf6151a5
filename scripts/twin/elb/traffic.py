"""The load balancer's metrics in CloudWatch.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup

from scripts.twin.backends import Backends
from scripts.twin.client.state import MINUTE_SECONDS
from scripts.twin.cloudwatch.metric_data import put
from scripts.twin.elb import target_health

NAMESPACE = "AWS/ApplicationELB"
SAMPLES = 100  # response times kept of one minute, enough for a p99

Where = Callable[[], tuple[FakeLoadBalancer | None, FakeTargetGroup | None]]


class Traffic:
    """Counts requests and answers, and writes the metrics every minute."""

    def __init__(self, backends: Backends) -> None:
        self.requests = 0
        self.refused: Counter[int] = Counter()  # by status: answers of the load balancer itself
        self._backends = backends
        self._statuses: Counter[str] = Counter()  # of the targets: 2XX, 3XX, …
        self._seconds: list[float] = []

    def answered(self, status: int, seconds: float) -> None:
        """Count a target's answer, which began `seconds` after the request was sent."""
        self._statuses[f"{status // 100}XX"] += 1
        self._seconds.append(seconds)

    async def run(self, where: Where) -> None:
        """Write every minute until cancelled."""
        while True:
            await asyncio.sleep(MINUTE_SECONDS)
            balancer, group = where()
            if balancer is not None and group is not None:
                self._write(balancer, group)

    def _write(self, balancer: FakeLoadBalancer, group: FakeTargetGroup) -> None:
        ours = {"LoadBalancer": balancer.arn.split(":loadbalancer/")[1]}
        both = {**ours, "TargetGroup": group.arn.split(":")[-1]}
        states = Counter(target.state for target in target_health.targets_of(group))
        healthy, unhealthy = states[target_health.HEALTHY], states[target_health.UNHEALTHY]
        answered = sum(self._statuses.values())
        points: list[tuple[str, dict[str, str], float]] = [
            ("RequestCount", ours, self.requests),
            ("RequestCountPerTarget", both, answered / max(healthy, 1)),
            *[
                (f"HTTPCode_Target_{kind}_Count", both, count)
                for kind, count in self._statuses.items()
            ],
            *[("TargetResponseTime", both, each) for each in _sample(sorted(self._seconds))],
            # Like AWS, no data point where there is no such error.
            *[(f"HTTPCode_ELB_{status}_Count", ours, n) for status, n in self.refused.items()],
        ]
        if errors := sum(n for status, n in self.refused.items() if status >= 500):
            points.append(("HTTPCode_ELB_5XX_Count", ours, errors))
        if states:
            points += [
                ("HealthyHostCount", both, healthy),
                ("UnHealthyHostCount", both, unhealthy),
            ]
        self.requests, self._seconds = 0, []
        self.refused.clear()
        self._statuses.clear()
        put(self._backends.cloudwatch, NAMESPACE, points)


def _sample(ordered: list[float]) -> list[float]:
    """At most `SAMPLES` values with the same percentiles."""
    if len(ordered) <= SAMPLES:
        return ordered
    return [ordered[(2 * n + 1) * len(ordered) // (2 * SAMPLES)] for n in range(SAMPLES)]
