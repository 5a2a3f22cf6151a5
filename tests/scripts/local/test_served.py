"""What `make worker` serves: every queue, unless it is told a pool."""

import pytest

from scripts.errors import UsageError
from scripts.local.served import served
from service.contract import EnvVar, ProcessName
from stacks.config.read_stage import read_stage

KEYS = {
    "env.SITE": "Shop",
    "workers.reports.queues": "reports=3,mail=1",
    "workers.reports.env.PAGES": "5",
}


def test_a_worker_serves_every_queue_unless_it_is_told_a_pool() -> None:
    stage = read_stage("local", KEYS)
    site = {each.name: each.value for each in stage.variables if not each.pool}
    assert served(stage, None).told(ProcessName.WORKER) == site
    assert served(stage, "reports").told(ProcessName.API) == site
    pools = "worker:default;worker-reports:reports=3,mail=1"
    assert served(stage, "reports").told(ProcessName.WORKER) == {
        **site,
        "PAGES": "5",
        EnvVar.WORKER_POOL: "reports",
        EnvVar.WORKER_POOLS: pools,
        EnvVar.WORKER_QUEUES: "reports=3,mail=1",
    }
    assert served(stage, "default").told(ProcessName.WORKER) == {
        **site, EnvVar.WORKER_POOLS: pools, EnvVar.WORKER_QUEUES: "default",
    }  # fmt: skip


def test_a_pool_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no worker pool report; it has default, reports") as said:
        served(read_stage("local", KEYS), "report")
    assert said.value.hint == "Did you mean reports?"
