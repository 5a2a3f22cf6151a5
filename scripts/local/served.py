"""What `make api` and `make worker` tell a process: the project's variables, and its queues."""

import difflib
from dataclasses import dataclass

from scripts.errors import UsageError
from service.contract import EnvVar, ProcessName, render_pools
from stacks.config.processes import WorkerPool
from stacks.config.stage import Stage
from stacks.config.variables import of_process

DEFAULT_POOL = "default"  # how people call the pool without a name


@dataclass(frozen=True)
class Served:
    """The stage, and the pool that a worker is of; None: it serves every queue, in turn."""

    stage: Stage
    pool: WorkerPool | None = None

    @property
    def name(self) -> str:
        """The pool's name; empty where no pool was asked for."""
        return self.pool.pool if self.pool else ""

    def told(self, process: ProcessName) -> dict[str, str]:
        """The variables of the process."""
        if self.pool is None or process is not ProcessName.WORKER:
            return of_process(self.stage.variables, process)
        pools = {each.pool: each.queues for each in self.stage.worker_pools}
        own = {EnvVar.WORKER_POOL: self.pool.pool} if self.pool.pool else {}
        return (
            of_process(self.stage.variables, process, self.pool.pool)
            | own
            | {
                EnvVar.WORKER_POOLS: render_pools(pools),
                EnvVar.WORKER_QUEUES: str(self.pool.queues),
            }
        )


def served(stage: Stage, pool: str | None) -> Served:
    """Raises `UsageError` for a pool that the stage does not have."""
    pools = {each.pool or DEFAULT_POOL: each for each in stage.worker_pools}
    if pool is None or pool in pools:
        return Served(stage, pools[pool] if pool else None)
    near = difflib.get_close_matches(pool, pools, n=1)
    raise UsageError(
        f"stage {stage.stage} has no worker pool {pool}; it has {', '.join(pools)}",
        f"Did you mean {near[0]}?" if near else "stages.toml names them: [workers.reports].",
    )
