"""`moor …` on a stage in moto with one running worker; sessions are answered by a file.

Arguments: that file, then the command line. What is left of it afterwards is in `<file>.after`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from moto import mock_aws

from scripts.cli import main
from service.contract import ProcessName
from tests.scripts.cloud import client
from tests.scripts.stage import (
    Container,
    agent,
    answer_execute_command,
    answer_start_session,
    backend,
    make_stage,
    on_every_client,
    start_task,
)


def begin(**_: Any) -> None:
    """A handler of botocore's `after-call`: what was started runs at once."""
    for tasks in backend().tasks.values():
        for task in tasks.values():
            if not isinstance(task.containers[0], Container):
                task.containers = [Container("worker", managed_agents=agent("RUNNING"))]


def after() -> dict[str, list[str]]:
    """What costs something if it stays."""
    tasks = [task for tasks in backend().tasks.values() for task in tasks.values()]
    return {
        "definitions": client("ecs").list_task_definitions(status="ACTIVE")["taskDefinitionArns"],
        "running": [task.started_by for task in tasks if task.desired_status == "RUNNING"],
        "stopped": [task.started_by for task in tasks if task.desired_status == "STOPPED"],
    }


if __name__ == "__main__":
    file = Path(sys.argv[1])
    with mock_aws():
        make_stage()
        start_task(ProcessName.WORKER)
        on_every_client("before-call.ecs.ExecuteCommand", answer_execute_command(file))
        on_every_client("before-call.ssm.StartSession", answer_start_session)
        on_every_client("after-call.ecs.RunTask", begin)
        code = main(sys.argv[2:])
        file.with_suffix(".after").write_text(json.dumps(after()))
    sys.exit(code)
