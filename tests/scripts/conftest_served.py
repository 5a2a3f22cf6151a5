"""Stage `dev` in moto, with one running worker, for `moor` as a process of its own.

What moto lacks of sessions is here: the command goes into the file that the stream's address names.
A test module names this file in `pytest_plugins`.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws
from moto.core.responses import ActionResult
from moto.ecs.models import EC2ContainerServiceBackend
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.server import ThreadedMotoServer
from moto.ssm.responses import SimpleSystemManagerResponse

from service.contract import ProcessName
from tests.scripts.cloud import REGION
from tests.scripts.stage import Container, agent, make_stage, start_task


@pytest.fixture(scope="module")
def _endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, numbers = tmp_path_factory.mktemp("sessions"), count(1)
    run_task = EC2ContainerServiceBackend.run_task

    def execute_command(self: EC2ContainerServiceResponse) -> ActionResult:
        assert self._get_param("interactive") is True
        command = folder / f"command-{next(numbers)}"
        command.write_text(self._get_param("command"))
        session = {
            "sessionId": "ecs-execute-command-1",
            "streamUrl": f"file://{command}",
            "tokenValue": "the token",
        }
        return ActionResult({"session": session})

    def start_session(self: SimpleSystemManagerResponse) -> ActionResult:
        assert self._get_param("DocumentName") == "AWS-StartPortForwardingSessionToRemoteHost"
        return ActionResult(
            {"SessionId": "tunnel-1", "StreamUrl": "wss://x", "TokenValue": "the token"}
        )

    def run_at_once(self: EC2ContainerServiceBackend, *given: Any, **named: Any) -> list[Any]:
        tasks: list[Any] = run_task(self, *given, **named)
        for task in tasks:
            task.containers = [Container("worker", managed_agents=agent("RUNNING"))]
        return tasks

    with pytest.MonkeyPatch.context() as moto:
        moto.setattr(EC2ContainerServiceResponse, "execute_command", execute_command, raising=False)
        moto.setattr(SimpleSystemManagerResponse, "start_session", start_session, raising=False)
        moto.setattr(EC2ContainerServiceBackend, "run_task", run_at_once)
        server = ThreadedMotoServer(port=0, verbose=False)
        server.start()
        try:
            yield f"http://localhost:{server.get_host_and_port()[1]}"
        finally:
            server.stop()


@pytest.fixture
def served(_endpoint: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A new stage; the environment in which `moor` finds it. Systems Manager stays AWS's own."""
    with mock_aws():
        make_stage()
        start_task(ProcessName.WORKER)
        yield {
            **{
                f"AWS_ENDPOINT_URL_{service}": _endpoint
                for service in ("CLOUDFORMATION", "EC2", "ECS", "SECRETS_MANAGER")
            },
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "HOME": str(tmp_path),
        }
