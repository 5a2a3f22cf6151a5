"""What litestar-saq offers works on our queues, or says what to use instead."""

import click
import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import AsyncTestClient
from litestar_saq import SAQConfig, SAQPlugin

from service.api.door.http_errors import EXCEPTION_HANDLERS
from service.console.saq_pages import saq_plugin
from service.queue.memory.memory_queue import MemoryQueue
from service.queue.tasks.registry import Registry
from service.settings import Settings

# litestar-saq's own routes, not ours
pytestmark = pytest.mark.filterwarnings("ignore:.*worker.*:DeprecationWarning")


def queue() -> MemoryQueue:
    registry = Registry()

    @registry.task
    async def nothing(ctx: object) -> None: ...

    return MemoryQueue(registry)


@pytest.mark.parametrize("words", [["run"], ["status"], ["run", "--workers", "2"], []])
def test_the_workers_command_says_what_runs_the_jobs(words: list[str]) -> None:
    settings = Settings.model_construct(stage="local")
    group = click.Group("litestar")
    saq_plugin(settings, queue()).on_cli_init(group)
    result = CliRunner().invoke(group, ["workers", *words])
    assert result.exit_code == 1
    assert "python -m service worker" in result.output


@pytest.mark.parametrize(("action", "answers"), [("retry", 409), ("abort", 202)])
async def test_an_own_app_answers_a_refused_action_with_409(action: str, answers: int) -> None:
    ours = queue()
    plugin = SAQPlugin(
        SAQConfig(queue_instances={"default": ours}, queue_configs=[], web_enabled=True)
    )
    app = Litestar(plugins=[plugin], exception_handlers=EXCEPTION_HANDLERS)
    await ours.connect()
    try:
        job = await ours.enqueue("nothing")
        assert job
        async with AsyncTestClient(app) as client:
            path = f"/saq/api/queues/default/jobs/{job.key}"
            first = await client.post(f"{path}/{action}")
            assert first.status_code == answers, "a job that waits"
            if answers == 409:
                assert "only an ended job can be retried" in first.json()["detail"]
            assert (await client.post(f"{path}/abort")).status_code in (202, 409)
            assert (await client.post(f"{path}/abort")).status_code == 409, "a job that has ended"
    finally:
        await ours.disconnect()
