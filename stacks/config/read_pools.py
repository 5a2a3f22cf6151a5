"""The worker pools of a stage: tables `workers` of stages.toml. Standard library only.

[workers.reports]           # in all stages
queues = ["reports"]
max_count = 2
[prod.workers.reports]      # in one
memory_mib = 2048
cpu = 1024
[dev.workers]
reports = false             # this stage has no such pool
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from service.contract import POOL_NAME_PATTERN, ProcessName
from stacks.config.naming import output_part
from stacks.config.processes import WORKERS, WorkerPool
from stacks.config.stage import CONFIGURABLE
from stacks.config.stages_file import ENV, SECRETS, Line
from stacks.config.values import FALSE, check, unknown

# What may stand in the table of a pool: the keys of [worker], by the same rules.
POOL_KEYS = {
    field.name: CONFIGURABLE[f"{ProcessName.WORKER}_{field.name}"]
    for field in fields(WorkerPool)
    if f"{ProcessName.WORKER}_{field.name}" in CONFIGURABLE
}
# How many workers there are is each pool's own: one, until its table says more, because each
# worker takes connections of the database. Of the other keys, what a table leaves out is as in the
# default pool of the stage: the same code runs in all of them.
COUNTS: dict[str, Any] = {"min_count": 1, "max_count": 1, "desired_count": None}
INHERITED = tuple(key for key in POOL_KEYS if key not in (*COUNTS, "queues"))
# Log groups and outputs of such a pool would be called as those of a process, or of another stage.
RESERVED = re.compile(r"default|exec|(api|worker|migrate)(-.*)?")
NAME_ALLOWED = (
    "a pool's name is a-z, 0-9 and single hyphens, a letter first, 16 at most, and neither "
    "default, exec, api, worker nor migrate"
)


def is_of_pool(line: Line) -> bool:
    """Is the line one of a table `workers`?"""
    return line.key.partition(".")[0] == WORKERS


def declared(lines: Iterable[Line]) -> list[Line]:
    """The lines of the pools that the stage has; those before a `reports = false` do not count."""
    found: list[Line] = []
    for line in lines:
        if is_of_pool(line) and _is_switched_off(line):
            found = [each for each in found if not f"{each.key}.".startswith(f"{line.key}.")]
        else:
            found.append(line)
    return found


def read_pools(
    lines: Iterable[Line], worker: Mapping[str, Any]
) -> tuple[tuple[WorkerPool, ...], dict[str, Line]]:
    """The pools in the order of their names, and by key the line that each value is from.

    `worker` are the keys of the default pool by their names without `worker_`. Raises `ValueError`
    with every problem, a line each.
    """
    problems: list[str] = []
    pools: dict[str, dict[str, Line]] = {}
    for line in lines:
        _, _, rest = line.key.partition(".")
        pool, _, key = rest.partition(".")
        if not pool or (not key and not isinstance(line.value, dict)):
            problems.append(
                f"{line.key} = {line.value!r}: allowed is a table for each pool, such as "
                f"[{WORKERS}.reports], or false for a stage without that pool"
            )
            continue
        keys = pools.setdefault(pool, {})
        if key in POOL_KEYS:
            keys[key] = line
        elif key and key.partition(".")[0] not in (ENV, SECRETS):
            problems.append(unknown(line.key, [f"{WORKERS}.{pool}.{each}" for each in POOL_KEYS]))
    found = []
    for pool in sorted(pools):
        said, values = _read(pool, pools, worker)
        problems += [*_names(pool, pools), *said]
        if not said:
            found.append(WorkerPool(pool=pool, **values))
    if problems:
        raise ValueError("\n".join(problems))
    origins = {line.key: line for keys in pools.values() for line in keys.values()}
    return tuple(found), origins


def _read(
    pool: str, pools: Mapping[str, Mapping[str, Line]], worker: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    problems, lines = [], pools[pool]
    values = COUNTS | {key: worker[key] for key in INHERITED}
    for key, line in lines.items():
        try:
            values[key] = check(POOL_KEYS[key], line.value, called=line.key)
        except ValueError as error:
            problems.append(str(error))
    if "queues" not in lines:
        whole = [other for other in pools if "queues" in pools[other]]
        near = difflib.get_close_matches(pool, whole, n=1)
        problems.append(
            f"{WORKERS}.{pool}.queues: missing; "
            + (f"did you mean {WORKERS}.{near[0]}?" if near else f'["{pool}"], for example')
        )
    return problems, values


def _names(pool: str, pools: Iterable[str]) -> Iterator[str]:
    key = f"{WORKERS}.{pool}"
    is_name = re.fullmatch(POOL_NAME_PATTERN, pool) and "--" not in pool and pool[-1] != "-"
    if not is_name or RESERVED.fullmatch(pool):
        yield f"{key}: {NAME_ALLOWED}"
        return
    for other in sorted(pools):
        if other < pool and output_part(other) == output_part(pool):
            yield f"{key}: is too like {WORKERS}.{other}; their stack outputs would be called alike"


def _is_switched_off(line: Line) -> bool:
    is_pool = line.key.count(".") == 1
    return is_pool and (line.value is False or str(line.value).lower() in FALSE)
