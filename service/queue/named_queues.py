"""The queues of a process by their names: one is made, the others share its connections."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from saq import Job

from service.contract import QUEUE_NAME, ServedQueues
from service.queue.errors import QueueNotFoundError, WrongQueueError
from service.queue.stock_worker import StockWorkerQueue
from service.queue.tasks.registry import Registry


class NamedQueues(StockWorkerQueue):
    """A queue, and the other queues of the process.

    A process makes the queue `default`. It puts a job into the queue of its task, and finds the
    jobs of all queues. `named` returns any other queue, which is a choice as in SAQ: it holds what
    is put into it, and finds only that. All have the same connections and the same worker.
    """

    _first: Self  # the one that was made; all others have its connections
    family: dict[str, Self]
    """The queues that `named` has returned, and the first one."""
    pools: Mapping[str, ServedQueues] | None = None
    """The queues of each worker pool of the stage; None where they are not known."""

    def __init__(
        self,
        registry: Registry,
        *args: Any,
        served: ServedQueues | None = None,
        worker_pool: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.registry = registry
        self.worker_pool = worker_pool
        self.told = served
        self._first = self  # type: ignore[assignment] # mypy sees the class, not Self
        self.family = {self.name: self}  # type: ignore[dict-item]

    @property
    def names(self) -> list[str]:
        """The names of all queues: those of the tasks, and those that workers and pools serve."""
        first = self._first
        names = [first.name, *(name for name in self.registry.queues() if name != QUEUE_NAME)]
        for served in (first.told, *(first.pools or {}).values()):
            names += served.names if served else ()
        return list(dict.fromkeys(names))

    @property
    def served(self) -> ServedQueues:
        """The queues that this process's worker serves; all in turn, unless it is told which."""
        names = self.names
        return self._first.told or ServedQueues(
            tuple(names), (1,) * len(names) if len(names) > 1 else ()
        )

    def named(self, name: str) -> Self:
        """The queue of that name, on the same connections. Raises `QueueNotFoundError`."""
        first = self._first
        if (found := first.family.get(name)) is None:
            if name not in self.names:
                raise QueueNotFoundError(name, self.names)
            found = first.family[name] = first.another(name)
        return found

    async def connect(self) -> None:
        """Make the pool, whose connections open when they are needed. May be called again."""
        await super().connect()
        for each in self._first.family.values():
            each._loop = self._loop  # noqa: SLF001 - one of these

    @property
    def all(self) -> list[Self]:
        """Every queue, in the order of `names`."""
        return [self.named(name) for name in self.names]

    @abstractmethod
    def another(self, name: str) -> Self:
        """A queue of that name on the same connections."""

    def _home(self, job: Job) -> Self:
        """The queue that a job goes to, or is in. Raises `WrongQueueError`."""
        if job.queue is not None:
            if job.queue.name == self.name:
                return self
            if self is self._first and job.queue.name in self.family:
                return self.named(job.queue.name)
            raise WrongQueueError(job.queue.name)
        if self.name != QUEUE_NAME:
            return self
        name = self.registry.queue_of(job.function)
        return self if name == QUEUE_NAME else self.named(name)

    @property
    def searched(self) -> list[Self]:
        """The queues in which this one finds jobs: `default` in all, any other in itself."""
        return self.all if self is self._first and self.name == QUEUE_NAME else [self]

    def own_key(self, key: str) -> str:
        """The key in the form in which this queue stores it.

        Each queue has keys of its own, but one table, and one worker, holds those of all: in any
        but the queue `default` they start with the queue's name.
        """
        if self.name == QUEUE_NAME or key.startswith(prefix := f"{self.name}:"):
            return key
        return prefix + key
