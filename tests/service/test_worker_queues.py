"""What a worker pool serves: one format of the environment, read and written in one place."""

import pytest

from service.contract import (
    QUEUE_NAME,
    ServedQueues,
    read_pools,
    render_pools,
    waiting_dimension,
    worker_dimension,
)


def test_a_worker_serves_the_default_queue_unless_told_otherwise() -> None:
    assert ServedQueues() == ServedQueues.read(QUEUE_NAME)


@pytest.mark.parametrize("text", ["default", "reports,mail", "reports=3,mail=1"])
def test_served_queues_are_written_as_they_are_read(text: str) -> None:
    assert str(ServedQueues.read(text)) == text


def test_weights_belong_to_their_queues() -> None:
    queues = ServedQueues.read(" reports = 3 , mail=1")
    assert (queues.names, queues.weights) == (("reports", "mail"), (3, 1))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is no queue's name"),
        ("Reports", "'Reports' is no queue's name"),
        ("x" * 32, "is no queue's name"),
        ("a,b,a", "names a queue twice"),
        ("a=2,b", "gives some queues a weight and others none"),
        ("a=0", "'0' is no weight"),
        ("a=101", "'101' is no weight"),
        ("a=1.5", "'1.5' is no weight"),
        ("a=", "'' is no weight"),
    ],
)
def test_wrong_queues_are_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ServedQueues.read(text)


def test_pools_are_written_as_they_are_read() -> None:
    text = "worker:default;worker-reports:reports=3,mail=1;worker-big-ones:exports,reports"
    pools = read_pools(text)
    assert list(pools) == ["", "reports", "big-ones"]
    assert pools["reports"].weights == (3, 1)
    assert render_pools(pools) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is no worker pool"),
        ("reports:mail", "'reports' is no worker pool"),
        ("worker-:mail", "'worker-' is no worker pool"),
        ("worker-default:mail", "'worker-default' is no worker pool"),
        ("worker:a;worker:b", "names worker twice"),
        ("worker-x:a;worker-x:b", "names worker-x twice"),
        ("worker-x:a=0", "worker-x: '0' is no weight"),
        ("worker", "worker: '' is no queue's name"),
    ],
)
def test_wrong_pools_are_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_pools(text)


def test_series_of_the_default_pool_stay_where_they_were() -> None:
    assert worker_dimension("") == ("Queue", "default")
    assert waiting_dimension("", ServedQueues()) == ("Queue", "default")


def test_series_of_a_pool_are_apart_from_those_of_a_queue() -> None:
    assert worker_dimension("reports") == ("Pool", "reports")
    assert waiting_dimension("reports", ServedQueues()) == ("Pool", "reports")
    assert waiting_dimension("", ServedQueues(("default", "mail"))) == ("Pool", "default")
