"""The order in which a worker fetches from its queues: strictly, or by weight."""

from collections import Counter

from saq import Job

from service.contract import ServedQueues
from service.queue.fetch_order import FetchOrder
from service.queue.job import LeasedJob
from service.queue.memory.memory_queue import MemoryQueue
from service.queue.tasks.registry import Registry


def fetch(order: FetchOrder, backlog: "Counter[str]", room: int) -> "Counter[str]":
    """Fetch as a queue does: first the shares, then in the order what is left."""
    names = order.names
    shares = dict(zip(names, order.shares(names, room), strict=True))
    fetched = Counter({name: min(share, backlog[name]) for name, share in shares.items()})
    for name in names:
        fetched[name] += min(backlog[name] - fetched[name], room - fetched.total())
    backlog -= fetched
    order.note(shares, fetched)
    return +fetched


def fetch_many(order: FetchOrder, backlog: "Counter[str]", *, jobs: int, room: int) -> Counter[str]:
    total: Counter[str] = Counter()
    while total.total() < jobs:
        total += fetch(order, backlog, min(room, jobs - total.total()))
    return total


def test_shares_hold_whatever_is_fetched_at_once() -> None:
    for room in (1, 2, 7, 30):
        order = FetchOrder(ServedQueues.read("reports=3,mail=1"))
        backlog = Counter(reports=1000, mail=1000)
        fetched = fetch_many(order, backlog, jobs=400, room=room)
        assert abs(fetched["mail"] - 100) <= 10, (room, fetched)


def test_a_queue_without_jobs_leaves_its_share_to_the_others_and_saves_none_up() -> None:
    order = FetchOrder(ServedQueues.read("reports=3,mail=1,files=1"))
    backlog = Counter(reports=2000, mail=2000)
    fetched = fetch_many(order, backlog, jobs=400, room=5)
    assert abs(fetched["reports"] - 300) <= 30
    backlog["files"] = 1000
    fetched = fetch_many(order, backlog, jobs=100, room=5)
    assert abs(fetched["files"] - 20) <= 6


def test_a_paused_queue_saves_no_share_up() -> None:
    order = FetchOrder(ServedQueues.read("reports=1,mail=1"))
    order.paused = {"mail"}
    backlog = Counter(reports=1000, mail=1000)
    assert fetch_many(order, backlog, jobs=100, room=4) == Counter(reports=100)
    order.paused = set()
    assert abs(fetch_many(order, backlog, jobs=40, room=4)["mail"] - 20) <= 4


def test_a_strict_order_asks_for_no_shares() -> None:
    order = FetchOrder(ServedQueues.read("reports,mail"))
    assert (order.names, order.shares(order.names, 9)) == (["reports", "mail"], [0, 0])
    order.paused = {"reports"}
    assert order.names == ["mail"]


def test_fetched_jobs_start_in_turn() -> None:
    registry = Registry()
    for name in ("reports", "mail"):
        registry.task(name=name, queue=name)(lambda ctx: None)
    queue = MemoryQueue(registry)
    jobs = [job(queue, name, key) for name in ("mail", "reports") for key in range(4)]
    strict = FetchOrder(ServedQueues.read("reports,mail")).sorted(jobs)
    assert [each.function for each in strict] == ["reports"] * 4 + ["mail"] * 4
    by_weight = FetchOrder(ServedQueues.read("reports=2,mail=1")).sorted(jobs)
    assert [each.function for each in by_weight][:6].count("reports") == 4


def job(queue: MemoryQueue, name: str, key: int) -> LeasedJob:
    made = LeasedJob(name, queue=queue.named(name), key=f"{name}{key}", scheduled=key)
    assert isinstance(made, Job)
    return made
