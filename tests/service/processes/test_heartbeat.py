"""What ECS asks a worker's container: whether it is well."""

from pathlib import Path

from tests.conftest import Processes, exit_status, until
from tests.service.conftest import Ledger


async def test_a_worker_is_well_only_after_its_start_up_hooks(
    processes: Processes, ledger: Ledger, tmp_path: Path
) -> None:
    """Else a deployment is done before a hook ends its workers."""
    heartbeat = tmp_path / "heartbeat"
    processes.start("worker", WORKER_HEARTBEAT_FILE=str(heartbeat), HANG_AT_START="2")
    await ledger.until_event("worker start")  # of the first hook; the second takes two seconds
    assert not heartbeat.exists()
    await until(heartbeat.exists, what="the first heartbeat")


async def test_a_worker_that_a_start_up_hook_ends_was_never_well(
    processes: Processes, tmp_path: Path
) -> None:
    heartbeat = tmp_path / "heartbeat"
    worker = processes.start("worker", WORKER_HEARTBEAT_FILE=str(heartbeat), FAIL_AT_START="1")
    assert await exit_status(worker, 30) == 1
    assert not heartbeat.exists()
