"""`/metrics`: the figures of all queues, as Prometheus reads them."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from litestar import get

from service.api.routes import metrics_routes
from service.api.routes.metrics_routes import last_minute, render
from service.contract import Metric, MetricDimension
from service.queue.reads import MinuteRuns
from tests.service.api.api_process import API_KEY, Api

pytest_plugins = ["tests.service.api.conftest_api"]


def test_it_has_the_figures_of_each_queue(http: httpx.Client) -> None:
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert "# TYPE Moorage_Backlog gauge" in lines
    assert 'Moorage_WorkersAlive{App="moorage",Stage="local",Queue="default"} 0' in lines
    assert 'Moorage_JobsFailed{App="moorage",Stage="local"} 0' in lines
    named = {line.split("{")[0] for line in lines if not line.startswith("#")}
    assert named == {f"Moorage_{metric}" for metric in metrics_routes.HELP}


def test_it_needs_the_api_key(guarded_api: Api) -> None:
    with guarded_api.client() as nobody:
        assert nobody.get("/metrics").status_code == 401
    with guarded_api.client(Authorization=f"Bearer {API_KEY}") as prometheus:
        assert prometheus.get("/metrics").status_code == 200


def test_the_lines_of_a_metric_stand_together_and_a_label_is_quoted() -> None:
    one, other = ((MetricDimension.QUEUE, name) for name in ('a"\\\n', "b"))
    text = render(
        [
            ((one,), {Metric.BACKLOG: 3, Metric.WORKERS_ALIVE: 0}),
            ((other,), {Metric.BACKLOG: 0.5}),
        ]
    )
    assert text == (
        "# HELP Moorage_Backlog Jobs that are due and wait.\n"
        "# TYPE Moorage_Backlog gauge\n"
        'Moorage_Backlog{Queue="a\\"\\\\\\n"} 3\n'
        'Moorage_Backlog{Queue="b"} 0.5\n'
        "# HELP Moorage_WorkersAlive Workers with a live lease.\n"
        "# TYPE Moorage_WorkersAlive gauge\n"
        'Moorage_WorkersAlive{Queue="a\\"\\\\\\n"} 0\n'
    )


@pytest.mark.parametrize(("second", "complete"), [(59, 2), (19, 1), (20, 2)])
def test_a_minute_counts_once_every_worker_has_written_it(second: int, complete: int) -> None:
    now = datetime(2026, 1, 1, 12, 30, second, tzinfo=UTC)
    minute = now.replace(second=0)
    runs = [
        MinuteRuns(minute=minute - timedelta(minutes=ago), complete=3 - ago, failed=0, retried=0)
        for ago in (2, 1, 0)
    ]
    assert last_minute(runs, now)[Metric.JOBS_FINISHED] == complete


def test_a_route_of_a_domain_at_that_path_is_kept() -> None:
    from service.api.app import _paths

    @get("/metrics")
    async def own() -> str:
        return "mine"

    assert metrics_routes.unless_taken(_paths([own])) == []
    assert metrics_routes.unless_taken(_paths([])) == [metrics_routes.metrics]
