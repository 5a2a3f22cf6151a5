"""From which of its queues a worker fetches next, and how many jobs of each."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from service.contract import ServedQueues
from service.queue.job import LeasedJob

T = TypeVar("T", bound=LeasedJob)


class FetchOrder:
    """The order of a worker's queues: strict, or by weight.

    By weight, each queue has a time that goes on with every job fetched from it, the slower the
    greater its weight; the queue whose time is earliest comes next (stride scheduling). A queue
    that had no job takes over the time of those that had, so that it cannot save up a share.
    """

    def __init__(self, served: ServedQueues) -> None:
        self._names = served.names
        self._weights = dict(zip(served.names, served.weights, strict=False))
        self._times = dict.fromkeys(self._weights, 0.0)
        self._places = {name: place for place, name in enumerate(served.names)}
        self.paused: Collection[str] = frozenset()

    @property
    def is_strict(self) -> bool:
        """Is there an order among several queues?"""
        return len(self._names) > 1 and not self._weights

    @property
    def names(self) -> list[str]:
        """The queues that may be fetched from, the next one first."""
        names = [name for name in self._names if name not in self.paused]
        return sorted(names, key=self._times.__getitem__) if self._weights else names

    def shares(self, names: Sequence[str], room: int) -> list[int]:
        """How many of the next `room` jobs come from each of `names`, if each has enough.

        All 0 where the order is strict: then the first queue that has a job comes first.
        """
        shares = dict.fromkeys(names, 0)
        if self._weights:
            times = {name: self._times[name] for name in names}
            for _ in range(room):
                name = min(times, key=times.__getitem__)
                shares[name] += 1
                times[name] += 1 / self._weights[name]
        return list(shares.values())

    def note(self, shares: Mapping[str, int], fetched: Mapping[str, int]) -> None:
        """Count the fetched jobs; `shares` are those that were asked for."""
        if not self._weights:
            return
        for name, count in fetched.items():
            self._times[name] += count / self._weights[name]
        # a paused queue is not in `shares`
        empty = [name for name in self._times if fetched.get(name, 0) < shares.get(name, 1)]
        busy = [self._times[name] for name in fetched if name not in empty]
        for name in empty:
            self._times[name] = max(self._times[name], min(busy, default=0.0))
        earliest = min(self._times.values())
        self._times = {name: time - earliest for name, time in self._times.items()}

    def sorted(self, jobs: Collection[T]) -> list[T]:
        """The fetched jobs in the order in which they start; those of one queue stay in theirs."""
        if not self._weights:
            return sorted(jobs, key=lambda job: self._places[job.get_queue().name])
        counts = dict.fromkeys(self._weights, 0)
        turns: list[tuple[float, T]] = []
        for job in jobs:
            name = job.get_queue().name
            counts[name] += 1
            turns.append((counts[name] / self._weights[name], job))
        return [job for _, job in sorted(turns, key=lambda turn: turn[0])]
