"""A queue that no pool serves is refused before anything is synthesized."""

import subprocess
import sys
from pathlib import Path

from service.contract import QUEUE_NAME
from stacks.served_queues import check_served, unserved
from tests.conftest import ROOT
from tests.sample import link_project
from tests.stacks.templates import stage_of

TASKS = {
    QUEUE_NAME: ["a"],
    "reports": ["d", "b", "e", "c"],
    "mail": ["send"],
}


def test_the_projects_own_tasks_are_served_in_stages_with_the_default_queue() -> None:
    check_served(stage_of("dev"))


def test_each_queue_that_nobody_serves_is_named_with_its_tasks_and_what_to_write() -> None:
    assert list(unserved(stage_of("dev"), {QUEUE_NAME: ["a"]})) == []
    assert list(unserved(stage_of("pools"), TASKS)) == []
    mail, reports = unserved(stage_of("dev"), TASKS)
    assert mail == (
        "queue 'mail' of send: no workers of stage dev serve it, and its jobs would wait for ever. "
        'Write `queues = ["default", "mail"]` under [dev.worker], or `queues = ["mail"]` under '
        "[workers.mail]"
    )
    assert reports.startswith("queue 'reports' of b, c, d and 1 more: no workers of stage dev")
    weighted = stage_of("dev", **{"worker.queues": "default=3,mail=2"})
    (said,) = unserved(weighted, TASKS)
    assert "`queues = { default = 3, mail = 2, reports = 1 }` under [dev.worker]" in said


def test_a_synthesis_ends_with_the_queue_that_nobody_serves(tmp_path: Path) -> None:
    project = link_project(tmp_path)
    for name in ("app.py", "cdk.json"):
        (project / name).symlink_to(ROOT / name)
    found = subprocess.run(
        [sys.executable, "app.py"],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "CDK_CONTEXT_JSON": '{"worker.queues": "mail"}'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert f"queue {QUEUE_NAME!r} of " in found.stderr
    assert "no workers of stage dev serve it" in found.stderr
    assert not list(project.glob("cdk.out/*"))
