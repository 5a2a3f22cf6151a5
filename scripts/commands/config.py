"""`moor config`: what a stage is configured as, and where each value comes from."""

from typing import Any

from scripts.target import find_stage
from scripts.terminal.answer import print_json, print_table
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption
from service.contract import ServedQueues
from stacks.config.read_pools import INHERITED, POOL_KEYS
from stacks.config.read_stage import explain_stage, nested
from stacks.config.stage import CONFIGURABLE
from stacks.config.stages_file import SECRETS, STAGES_FILE, Line, split_line


def config(stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False) -> None:
    """Each key of a stage, its value and where it comes from: a default, or a table of stages.toml.

    `moor config --stage prod` names the keys as a table by what they size holds them: `worker.cpu`
    is `cpu` in [prod.worker], or `worker_cpu` in [prod]. Those of a worker pool come after
    them; one that is from `worker.cpu` has the value of the default pool.
    """
    find_stage(stage)  # with its own error
    found, lines = explain_stage(stage)
    rows = [
        (nested(key), getattr(found, key), _source(lines.get(key)))
        for key in CONFIGURABLE
        if key != "first_deploy"
    ]
    for pool in found.pools:
        for key in POOL_KEYS:
            line = lines.get(pool.key(key))
            inherited = f"worker.{key}" if key in INHERITED and line is None else ""
            rows.append((pool.key(key), getattr(pool, key), inherited or _source(line)))
    known = {*CONFIGURABLE, *(key for key, *_ in rows)}
    places = {
        (each.process, each.pool, each.name): each.place(found.names) for each in found.secrets
    }
    for key, line in lines.items():
        if key not in known:
            secret = split_line(line, SECRETS)
            rows.append((key, str(places[secret]) if secret else line.value, _source(line)))
    if as_json:
        return print_json(
            {key: {"value": _data(value), "from": source} for key, value, source in rows}
        )
    print_table(
        ("Key", "Value", "From"), [(key, _plain(value), source) for key, value, source in rows]
    )
    return None


def _source(line: Line | None) -> str:
    if line is None:
        return "default"
    return f"{STAGES_FILE.name} [{line.table}]" if line.table else f"{STAGES_FILE.name}, all stages"


def _data(value: Any) -> Any:
    """Queues as the file has them: a list, or a table of weights."""
    match value:
        case ServedQueues(names, ()):
            return names
        case ServedQueues(names, weights):
            return dict(zip(names, weights, strict=True))
        case _:
            return value


def _plain(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(value)
        case _:
            return "" if value is None else str(value)
