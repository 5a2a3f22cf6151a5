"""The processes of a stage that run as ECS services. Standard library only."""

from dataclasses import dataclass

from service.contract import ProcessName, ServedQueues, pool_process

# Within this table of stages.toml, one table for each worker pool but the default one.
WORKERS = "workers"


@dataclass(frozen=True, kw_only=True)
class EcsProcess:
    """The API, or the workers of one pool: how large an ECS task is, and how many run."""

    process: ProcessName  # of the image, and the container's name
    pool: str = ""  # empty: the API, or the default pool
    cpu: int
    memory_mib: int
    min_count: int
    max_count: int
    desired_count: int | None
    pool_size: int
    queue_pool_size: int

    @property
    def name(self) -> str:
        """The name that people type: `api`, `worker`, `worker-reports`."""
        return pool_process(self.pool) if self.process is ProcessName.WORKER else self.process.value

    def key(self, key: str) -> str:
        """A key of it as errors and the command line spell it."""
        return f"{WORKERS}.{self.pool}.{key}" if self.pool else f"{self.process}_{key}"


@dataclass(frozen=True, kw_only=True)
class WorkerPool(EcsProcess):
    """Workers of one size that serve some queues."""

    process: ProcessName = ProcessName.WORKER
    queues: ServedQueues
    spot_percent: int
    concurrency: int
    jobs_target: int
    age_target_seconds: int
