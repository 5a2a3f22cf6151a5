"""The tables of docs/stages.md; `make docs` writes them anew."""

from stacks.config.processes import WORKERS
from stacks.config.read_pools import COUNTS, POOL_KEYS
from stacks.config.read_stage import nested
from stacks.config.schema import NOT_IN_FILE, describe_keys
from stacks.config.stage import CONFIGURABLE
from stacks.config.values import allowed

HEAD = "| Key | In a stage's own table | Default | Allowed | What it is |\n|---|---|---|---|---|\n"


POOL_HEAD = f"""
Of a worker pool, in a table `[{WORKERS}.<pool>]`:

| Key | Left out | Allowed |
|---|---|---|
"""


def tables() -> str:
    """Every key that the file may hold."""
    return (
        table()
        + POOL_HEAD
        + "".join(
            f"| `{key}` | {_left_out(key)} | {_cell(allowed(field))} |\n"
            for key, field in POOL_KEYS.items()
        )
    )


def _left_out(key: str) -> str:
    if key in COUNTS:
        return _default(COUNTS[key])
    return "it must be there" if key == "queues" else f"`worker.{key}` of the stage"


def table() -> str:
    """Every key of a stage, in the order of `Stage`."""
    described = describe_keys()
    return HEAD + "".join(
        f"| `{nested(key)}` | `{key}` | {_default(field.default)} | {_cell(allowed(field))} "
        f"| {_cell(described[key])} |\n"
        for key, field in CONFIGURABLE.items()
        if key not in NOT_IN_FILE
    )


def _default(value: object) -> str:
    if value in (None, "", ()):
        return ""
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
