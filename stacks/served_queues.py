"""Whether a pool of workers serves each queue that a task names.

The stacks do not import the service: `python -m service queues` says which tasks there are.
"""

import functools
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from service.contract import QUEUES
from stacks.config.processes import WORKERS
from stacks.config.stage import Stage
from stacks.config.values import ConfigError

ROOT = Path(__file__).parents[1]
TASKS = "tasks"
TIMEOUT_SECONDS = 60
SHOWN = 3  # tasks that an error names


def check_served(stage: Stage) -> None:
    """Raises `ConfigError` for each queue whose jobs would wait for ever.

    An image that was built elsewhere has tasks of its own, of which nothing is known here.
    """
    if not stage.image and (problems := [*unserved(stage, find_queues())]):
        raise ConfigError(problems)


def unserved(stage: Stage, queues: Mapping[str, list[str]]) -> Iterator[str]:
    """A line for each of the queues, given with its tasks, that no pool of the stage serves."""
    default, *_ = stage.worker_pools
    served = {name for pool in stage.worker_pools for name in pool.queues.names}
    for queue in sorted(queues.keys() - served):
        tasks = sorted(queues[queue])
        more = f" and {len(tasks) - SHOWN} more" if len(tasks) > SHOWN else ""
        if default.queues.weights:
            weights = zip(default.queues.names, default.queues.weights, strict=True)
            both = f"{{ {', '.join(f'{name} = {n}' for name, n in weights)}, {queue} = 1 }}"
        else:
            both = json.dumps([*default.queues.names, queue])
        yield (
            f"queue {queue!r} of {', '.join(tasks[:SHOWN])}{more}: no workers of stage "
            f"{stage.stage} serve it, and its jobs would wait for ever. Write "
            f"`queues = {both}` under [{stage.stage}.worker], or "
            f"`queues = {json.dumps([queue])}` under [{WORKERS}.{queue[:16].strip('-')}]"
        )


@functools.cache
def find_queues() -> dict[str, list[str]]:
    """The tasks of each queue, by its name. Raises `ConfigError` where the tasks cannot be read."""
    try:
        found = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "service", QUEUES],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            [f"the queues of the tasks are not known: no answer within {TIMEOUT_SECONDS} s"]
        ) from None
    if found.returncode:
        said = (found.stderr.strip() or "no message").splitlines()[-1]
        raise ConfigError([f"the queues of the tasks are not known: {said}"])
    answer: dict[str, dict[str, list[str]]] = json.loads(found.stdout)
    return {queue: of[TASKS] for queue, of in answer.items()}
