"""Registers an ECS task as a target of the load balancer."""

import time
from dataclasses import dataclass

from moto.elbv2.models import ELBv2Backend

from scripts.twin.elb import target_health

HOST = "127.0.0.1"
DRAIN_SECONDS = 2.0  # how much of the deregistration delay is waited for; on AWS it is 30 seconds
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Registration:
    """One port of this machine in one target group."""

    elbv2: ELBv2Backend
    group_arn: str
    port: int

    def open(self) -> None:
        """Register the target; the load balancer sends it requests once it is healthy."""
        self.elbv2.register_targets(self.group_arn, [{"Id": HOST, "Port": self.port}])

    def close(self) -> None:
        """Deregister the target, and wait until its open requests are answered or the delay is
        over."""
        if self.state is None:
            return
        self.elbv2.deregister_targets(self.group_arn, [{"Id": HOST, "Port": self.port}])
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.state is not None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    @property
    def is_healthy(self) -> bool:
        return self.state == target_health.HEALTHY

    @property
    def is_unhealthy(self) -> bool:
        return self.state == target_health.UNHEALTHY

    @property
    def state(self) -> str | None:
        """The target's state; None where it is not registered or has no target group."""
        group = self.elbv2.target_groups.get(self.group_arn)
        found = target_health.find(group, HOST, self.port) if group else None
        return found.state if found else None
