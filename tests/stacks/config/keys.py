"""The table of docs/stages.md; `make docs` writes it anew."""

from stacks.config.read_stage import nested
from stacks.config.schema import NOT_IN_FILE, describe_keys
from stacks.config.stage import CONFIGURABLE
from stacks.config.values import allowed

HEAD = "| Key | In a stage's own table | Default | Allowed | What it is |\n|---|---|---|---|---|\n"


def table() -> str:
    """Every key that the file may hold, in the order of `Stage`."""
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
