"""An ECS task of the API among the targets of the load balancer."""

import time
from dataclasses import dataclass

from moto.elbv2.models import ELBv2Backend

from scripts.twin.elb import target_health

HOST = "127.0.0.1"
DRAIN_SECONDS = 2.0  # of the deregistration delay; on AWS the template's 30 seconds
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Registration:
    """One port of this machine in one target group."""

    elbv2: ELBv2Backend
    group_arn: str
    port: int

    def open(self) -> None:
        """From now on the balancer asks for its health, and sends requests when that is good."""
        self.elbv2.register_targets(self.group_arn, [{"Id": HOST, "Port": self.port}])

    def close(self) -> None:
        """No new requests come; returns when the open ones are answered, or after the delay."""
        if self.state is None:
            return
        self.elbv2.deregister_targets(self.group_arn, [{"Id": HOST, "Port": self.port}])
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.state is not None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    @property
    def is_healthy(self) -> bool:
        return self.state == target_health.HEALTHY

    @property
    def is_unhealthy(self) -> bool:
        return self.state == target_health.UNHEALTHY

    @property
    def state(self) -> str | None:
        """None where it is not registered, or its target group is gone."""
        group = self.elbv2.target_groups.get(self.group_arn)
        found = target_health.find(group, HOST, self.port) if group else None
        return found.state if found else None
