"""What tests of the twin's parts stand on: moto in this process, a load balancer in it, targets."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from aiohttp import web
from moto import mock_aws

from scripts.twin.backends import Backends
from scripts.twin.client.state import ACCOUNT, REGION, Twin
from scripts.twin.event_loop import Loop, close
from tests.ports import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextmanager
def cloud() -> Iterator[Backends]:
    """AWS's APIs for boto3 in this process, empty."""
    with mock_aws():
        yield Backends(ACCOUNT, REGION)


@cache  # one takes longer to make than all its calls
def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def a_twin(home: Path) -> Twin:
    """Where its parts are to listen: ports that are free now."""
    return Twin(
        home=home,
        account=ACCOUNT,
        region=REGION,
        endpoint="http://localhost:1",
        access_key="unused",
        secret_key="unused",
        url=f"http://localhost:{free_port()}",
        agent_url=f"http://127.0.0.1:{free_port()}",
        images=home / "images",
        python=Path("python"),
        postgres_port=0,
        release="0",
        pid=os.getpid(),
        started="",
    )


def make_door(*, idle_seconds: int = 60, drain_seconds: int = 30) -> str:
    """A load balancer, its listener and its target group, as the template has them: its ARN."""
    ec2, elb = client("ec2"), client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")
        for n, zone in enumerate("ab")
    ]
    balancer = elb.create_load_balancer(
        Name="door", Subnets=[each["Subnet"]["SubnetId"] for each in subnets]
    )["LoadBalancers"][0]["LoadBalancerArn"]
    elb.modify_load_balancer_attributes(
        LoadBalancerArn=balancer,
        Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": str(idle_seconds)}],
    )
    group = elb.create_target_group(
        Name="api", Protocol="HTTP", Port=8000, VpcId=vpc, TargetType="ip",
        HealthCheckPath="/health/live", HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=4, HealthyThresholdCount=2, UnhealthyThresholdCount=3,
        Matcher={"HttpCode": "200"},
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    elb.modify_target_group_attributes(
        TargetGroupArn=group,
        Attributes=[
            {"Key": "deregistration_delay.timeout_seconds", "Value": str(drain_seconds)},
        ],
    )
    elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTP", Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )  # fmt: skip
    return str(group)


class Server:
    """An HTTP server in a thread that answers every path by `handler`, `/health/live` by itself."""

    def __init__(self, handler: Handler) -> None:
        self.port = free_port()
        self.is_live = True
        self._handler = handler
        self._loop = Loop("target")
        self._loop.start()
        self._loop.do(self._open())

    def stop(self) -> None:
        self._loop.do(close(self._runner))
        self._loop.stop()

    async def _open(self) -> None:
        self._runner = web.AppRunner(
            self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_get("/health/live", self._live)
        application.router.add_route("*", "/{path:.*}", self._handler)
        return application

    async def _live(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if self.is_live else 500)


async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)
