"""The processes of a stage that run as ECS services: its API, and the workers of each pool.

Those of a deployed stage are what its stacks' outputs say: stages.toml may name a pool that is not
deployed yet, or none of one that still is.
"""

import difflib

from scripts.aws import Aws
from scripts.errors import UsageError
from service.contract import ProcessName, pool_process
from stacks.config.naming import Output, pool_output

API, WORKER = ProcessName.API.value, ProcessName.WORKER.value


def deployed(aws: Aws) -> tuple[str, ...]:
    """`api`, `worker`, and `worker-reports` for the pool reports."""
    return API, WORKER, *(pool_process(pool) for pool in _pools(aws))


def workers(aws: Aws) -> tuple[str, ...]:
    """The workers of each pool, the default one first."""
    return deployed(aws)[1:]


def forwards(aws: Aws) -> tuple[str, ...]:
    """All, in the order in which they get a new release: new jobs must not meet an old worker."""
    return *workers(aws), API


def find_process(aws: Aws, process: str) -> str:
    """The process of that name. Raises `UsageError` with those that the stage has."""
    if process in (names := deployed(aws)):
        return process
    near = difflib.get_close_matches(process, names, n=1, cutoff=0.4)
    raise UsageError(
        f"{aws.target} has no {process}; it has {', '.join(names)}",
        f"Did you mean {near[0]}?" if near else "A deploy makes the pools that stages.toml names.",
    )


def container_of(process: str) -> ProcessName:
    """The container that runs it: `worker` in each pool."""
    return ProcessName.API if process == API else ProcessName.WORKER


def task_definition_output(process: str) -> str:
    """The key of the output with the task definition that the stack's template has."""
    if process == API:
        return Output.API_TASK_DEFINITION
    return pool_output(Output.WORKER_TASK_DEFINITION, pool_of(process))


def pool_of(process: str) -> str:
    """`reports` for `worker-reports`; empty for the default pool, and for the API."""
    return process.removeprefix(f"{WORKER}-") if process.startswith(f"{WORKER}-") else ""


def _pools(aws: Aws) -> list[str]:
    return [pool for pool in aws.outputs.get(Output.WORKER_POOLS, "").split(",") if pool]
