"""The alarms of the templates through a stage's life: silent on what is planned, loud on trouble.

What CloudWatch and Container Insights write, and when, is played as AWS documents it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from service.contract import Metric
from tests.stacks.templates import Templates, of_stage, synthesize
from tests.twin.cloudwatch.watched import Watched, watched
from tests.twin.stand import client

# What a stage's counts and its database may be: the least that runs when nothing is asked of it.
STAGES: dict[str, Callable[[], Templates]] = {
    "dev": lambda: of_stage("dev"),
    "prod": lambda: of_stage("prod"),
    "no worker": lambda: synthesize("dev", worker_min_count=0),
    "nothing": lambda: synthesize(
        "dev",
        api_min_count=0,
        api_desired_count=0,
        worker_min_count=0,
        worker_desired_count=0,
        database_min_acu=0,
        database_reader=True,
    ),
}
stages = cache(lambda name: STAGES[name]())


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest) -> Iterator[Watched]:
    with watched(stages(request.param)) as made:
        yield made


@pytest.fixture
def dev() -> Iterator[Watched]:
    with watched(stages("dev")) as made:
        yield made


@pytest.fixture
def prod() -> Iterator[Watched]:
    with watched(stages("prod")) as made:
        yield made


def least(stage: Watched) -> dict[str, Any]:
    """As it is when nothing happens."""
    api, worker = stage.stage.api_min_count, stage.stage.worker_min_count
    return {"api": (api, api), "worker": (worker, worker)}


def busy(stage: Watched) -> dict[str, Any]:
    """With one ECS task more of each."""
    return {name: (n + 1, n + 1) for name, (n, _) in least(stage).items()}


def told_off(stage: Watched, *, on: bool) -> None:
    """What `moor sleep` and `moor wake` do to the actions."""
    cloudwatch = client("cloudwatch")
    names = [each["AlarmName"] for each in cloudwatch.describe_alarms()["MetricAlarms"]]
    switch = cloudwatch.enable_alarm_actions if on else cloudwatch.disable_alarm_actions
    switch(AlarmNames=names)


def test_nothing_rings_while_a_stage_is_made_and_after(stage: Watched) -> None:
    assert stage.silent(20) == [], "the balancer, the services and the migrations take their time"
    assert stage.run(1, worker=(1, 1), api=(1, 0)) == []
    assert stage.run(20, **busy(stage)) == []


def test_nothing_rings_while_a_stage_is_deployed(stage: Watched) -> None:
    assert stage.run(12, **busy(stage)) == []
    rolling = {name: (n, 2 * n) for name, (n, _) in busy(stage).items()}
    assert stage.run(4, **rolling, errors={502: 4, 503: 3}) == []
    assert stage.silent(1) == [], "the turn of reporting changes hands"
    assert stage.run(10, **busy(stage)) == []


def test_nothing_rings_while_it_scales_out_and_in_again(stage: Watched) -> None:
    assert stage.run(12, **busy(stage)) == []
    for wanted in (4, 7):
        running = wanted - 3
        counts = {"api": (wanted, running), "worker": (wanted, running)}
        assert stage.run(3, **counts) == [], "Fargate takes a minute or two for each"
        assert stage.run(2, api=(wanted, wanted), worker=(wanted, wanted)) == []
    assert stage.run(30, **least(stage)) == [], "what scales to zero is there"


def test_nothing_rings_while_a_stage_sleeps_and_wakes(stage: Watched) -> None:
    assert stage.run(12, **busy(stage)) == []
    told_off(stage, on=False)
    assert stage.run(40, api=(0, 0), worker=(0, 0), errors={503: 30}) == []
    assert stage.run(2, api=(1, 0), worker=(1, 1)) == []
    assert stage.run(1, **busy(stage)) == []
    told_off(stage, on=True)
    assert stage.run(20, **busy(stage)) == []


@pytest.mark.parametrize("name", STAGES)
def test_lost_ecs_tasks_ring_and_go_on_until_they_are_back(name: str) -> None:
    with watched(stages(name)) as stage:
        assert stage.run(12, api=(4, 4), worker=(4, 4)) == []
        rings = stage.run(15, api=(4, 2), worker=(4, 2))
        assert set(rings) == {"api-tasks-missing", "worker-tasks-missing"}
        told = stage.told(15, api=(4, 4), worker=(4, 4))
        assert set(told) == {("OK", "api-tasks-missing"), ("OK", "worker-tasks-missing")}


@pytest.mark.parametrize(
    ("given", "rings"),
    [
        ({"api": (1, 0)}, {"api-tasks-missing"}),
        ({"worker": (1, 0)}, {"worker-tasks-missing"}),
        (
            {"worker": (1, 0), "jobs": {Metric.BACKLOG: 3.0}},
            {"worker-tasks-missing", "no-worker"},
        ),
        (
            {"api": (1, 0), "worker": (1, 0)},
            {"api-tasks-missing", "worker-tasks-missing", "no-metrics"},
        ),
        ({"api": (1, 0), "errors": {503: 10}}, {"api-tasks-missing", "no-target"}),
        ({"errors": {502: 10}}, {"balancer-errors"}),
        ({"jobs": {Metric.DEAD_LETTERS: 1.0}}, {"dead-letters"}),
        ({"jobs": {Metric.OLDEST_JOB_AGE_SECONDS: 400.0}}, {"oldest-job-age"}),
        ({"jobs": {Metric.LISTEN_AGE_SECONDS: 90.0}}, {"listen-age"}),
        ({"jobs": {Metric.JOBS_FAILED: 20.0, Metric.JOBS_FINISHED: 20.0}}, {"failed-jobs"}),
        ({"jobs": {Metric.JOBS_STARTED: 20.0, Metric.JOBS_RETRIED: 15.0}}, {"retried-jobs"}),
        ({"database": {"ACUUtilization": 95.0}}, {"database-capacity"}),
        ({"database": {"MaximumUsedTransactionIDs": 1.5e9}}, {"database-transaction-age"}),
    ],
)
def test_trouble_rings_within_fifteen_minutes_and_until_it_is_over(
    dev: Watched, given: dict[str, Any], rings: set[str]
) -> None:
    assert dev.run(12) == []
    assert set(dev.run(15, **given)) == rings
    assert dev.told(20, **given) == [], "not again, and not over"
    assert {dev.state(each) for each in rings} == {"ALARM"}
    assert set(dev.told(15)) == {("OK", each) for each in rings}


def test_a_worker_that_does_not_come_from_zero_rings() -> None:
    with watched(stages("no worker")) as stage:
        waiting = {"api": (1, 1), "worker": (1, 0), "jobs": {Metric.BACKLOG: 1.0}}
        assert stage.run(12, api=(1, 1), worker=(0, 0)) == []
        assert stage.run(6, **waiting) == [], "the first one may take so long"
        assert stage.run(5, api=(1, 1), worker=(1, 1)) == []
        assert stage.run(15, **waiting) == ["no-worker"]


def test_a_reader_that_is_gone_rings_and_a_failover_does_not(prod: Watched) -> None:
    two = {"api": (2, 2), "worker": (2, 2)}
    assert prod.run(12, **two) == []
    assert prod.run(4, **two, has_reader=False) == [], "the new one becomes ready"
    assert prod.run(12, **two) == []
    assert prod.run(12, **two, has_reader=False) == ["database-reader-gone"]


def test_the_firewall_rings_for_what_it_blocks_and_not_for_what_it_counts(prod: Watched) -> None:
    two = {"api": (2, 2), "worker": (2, 2)}
    assert prod.run(12, **two, firewall={"CountedRequests": 50_000, "AllowedRequests": 9e5}) == []
    assert prod.run(12, **two, firewall={"BlockedRequests": 1500}) == ["firewall-blocks"]


@pytest.mark.parametrize(
    ("templates", "quiet", "rings"),
    [
        (lambda: stages("dev"), {"CPUUtilization": 95.0}, {"ACUUtilization": 95.0}),
        (
            lambda: synthesize("dev", database_min_acu=2, database_max_acu=2),
            {"ACUUtilization": 100.0},
            {"ACUUtilization": 100.0, "CPUUtilization": 95.0},
        ),
    ],
    ids=["of several sizes", "of one size"],
)
def test_a_database_rings_by_its_size_or_where_that_is_always_the_largest_by_its_load(
    templates: Callable[[], Templates], quiet: dict[str, float], rings: dict[str, float]
) -> None:
    with watched(templates()) as stage:
        assert stage.run(20, database=quiet) == []
        assert stage.run(15, database=rings) == ["database-capacity"]


def test_alarms_that_are_off_tell_nobody_and_keep_their_state(dev: Watched) -> None:
    assert dev.run(12) == []
    told_off(dev, on=False)
    assert dev.run(15, api=(1, 0)) == []
    assert dev.state("api-tasks-missing") == "ALARM"
    told_off(dev, on=True)
    assert dev.run(5, api=(1, 0)) == [], "a state that was there tells nothing"
