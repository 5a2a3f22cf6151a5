"""`moor config`: what a stage is configured as, and where each value comes from."""

from typing import Any

from scripts.target import find_stage
from scripts.terminal.answer import print_json, print_table
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption
from stacks.config.read_stage import explain_stage, nested
from stacks.config.stage import CONFIGURABLE
from stacks.config.stages_file import SECRETS, STAGES_FILE, Line, split_line


def config(stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False) -> None:
    """Each key of a stage, its value and where it comes from: a default, or a table of stages.toml.

    `moor config --stage prod` names the keys as a table by what they size holds them: `worker.cpu`
    is `cpu` in [prod.worker], or `worker_cpu` in [prod].
    """
    find_stage(stage)  # with its own error
    found, lines = explain_stage(stage)
    rows = [
        (nested(key), getattr(found, key), _source(lines.get(key)))
        for key in CONFIGURABLE
        if key != "first_deploy"
    ]
    places = {(each.process, each.name): each.place(found.names) for each in found.secrets}
    for key, line in lines.items():
        if key not in CONFIGURABLE:
            secret = split_line(line, SECRETS)
            rows.append((key, str(places[secret]) if secret else line.value, _source(line)))
    if as_json:
        return print_json({key: {"value": value, "from": source} for key, value, source in rows})
    print_table(
        ("Key", "Value", "From"), [(key, _plain(value), source) for key, value, source in rows]
    )
    return None


def _source(line: Line | None) -> str:
    if line is None:
        return "default"
    return f"{STAGES_FILE.name} [{line.table}]" if line.table else f"{STAGES_FILE.name}, all stages"


def _plain(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(value)
        case _:
            return "" if value is None else str(value)
