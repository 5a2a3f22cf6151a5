"""`stages.toml`: which stages there are, and what it says of each. Standard library only.

app_name = "shop"    # for all stages, as a table [worker] at the top would be
[prod]
[prod.worker]        # keys by what they size
max_count = 10
[prod.workers.reports]  # a pool of workers of its own
queues = ["reports"]
[staging]
extends = "prod"     # all that [prod] says, and more
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.contract import LOCAL_STAGE, ProcessName
from stacks.config.processes import WORKERS
from stacks.config.values import ConfigError

STAGES_FILE = Path(__file__).parents[2] / "stages.toml"
# RDS takes no name with two hyphens side by side or one at its end.
STAGE_PATTERN = r"(?=.{1,16}$)[a-z][a-z0-9]*(-[a-z0-9]+)*"
STAGE_ALLOWED = "a stage's name is a-z, 0-9 and single hyphens, a letter first, 16 at most"
# Tables within a stage. At the top they, `workers`, `env` and `secrets`, are for all stages: no
# stage is called so.
FIRST = "dev"  # as in the first release, for who names no stage
SECTIONS = ("api", "worker", "database", "network", "telemetry")
EXTENDS = "extends"
ENV = "env"  # variables: of a stage, or within one of PROCESSES of that process
SECRETS = "secrets"  # the same of secrets; a table, or a list of names
PROCESSES = ("api", "worker")


@dataclass(frozen=True)
class Line:
    """One key as it stands in the file: `max_count` of `[prod.worker]` is `worker.max_count`.

    A variable is `env.NAME`, or `worker.env.NAME`; a secret `secrets.NAME`. A worker pool is
    `workers.reports` with an empty table, and its keys are `workers.reports.max_count`.
    """

    key: str
    value: object
    table: str  # a stage's name; "" for all stages


def stage_names(file: Path = STAGES_FILE) -> tuple[str, ...]:
    """The stages there are: the tables of the file, and `local`. Raises `ConfigError`."""
    return tuple(read_lines(file))


def chosen_name(given: object | None, file: Path = STAGES_FILE) -> str:
    """The stage that `-c stage=` names, or where it names none, `dev`, if there is one.

    Raises `ConfigError` with the stages there are.
    """
    if given is None and FIRST not in (names := stage_names(file)):
        raise ConfigError(
            [f"stage: none is named, and {file.name} has no table [{FIRST}]: -c stage={names[0]}, "
             f"of {', '.join(names)}"]
        )  # fmt: skip
    return FIRST if given is None else str(given)


def read_lines(file: Path = STAGES_FILE) -> dict[str, list[Line]]:
    """What the file says of each stage; of two lines for one key the later one counts.

    Raises `ConfigError` for a file that is no TOML, and for wrong names and `extends`.
    """
    found = _parse(file)
    is_stage = {
        key: isinstance(value, dict) and key not in (*SECTIONS, WORKERS, ENV, SECRETS)
        for key, value in found.items()
    }
    tables = {key: value for key, value in found.items() if is_stage[key]}
    tables.setdefault(LOCAL_STAGE, {})
    if problems := [*_wrong_names(tables), *_wrong_extensions(tables)]:
        raise ConfigError([f"{file.name}: {problem}" for problem in problems])
    common = list(_lines("", {key: value for key, value in found.items() if not is_stage[key]}))
    return {
        name: common
        + [line for each in _chain(name, tables) for line in _lines(each, tables[each])]
        for name in tables
    }


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))  # some editors begin with a mark
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([f"{file.name}: line {line} is not UTF-8; save it as UTF-8"]) from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{file.name}: {error}"]) from None


def _wrong_names(tables: dict[str, Any]) -> list[str]:
    return [
        f"[{name}]: {STAGE_ALLOWED}" for name in tables if not re.fullmatch(STAGE_PATTERN, name)
    ]


def _wrong_extensions(tables: dict[str, Any]) -> Iterator[str]:
    for name, table in tables.items():
        base = table.get(EXTENDS)
        if base is not None and not (isinstance(base, str) and base in tables):
            yield f"[{name}] extends = {base!r}: allowed is one of {', '.join(tables)}"
        elif name in _chain(name, tables)[:-1]:
            yield f"[{name}] extends = {base!r}: which extends [{name}] in its turn"


def _chain(name: str, tables: dict[str, Any]) -> list[str]:
    """The tables that count for a stage, its own last; one that comes again ends the chain."""
    chain = [name]
    while isinstance(base := tables[chain[0]].get(EXTENDS), str) and base in tables:
        if base in chain:
            return [base, *chain]
        chain.insert(0, base)
    return chain


def split_line(line: Line, table: str) -> tuple[ProcessName | None, str, str] | None:
    """The process, the worker pool and the name of a line of `table`, which is `env` or `secrets`;
    None for a line of something else. The process is None where the line is for API and workers,
    the pool is empty where it is for all."""
    match line.key.split("."):
        case [first, *name] if first == table:
            return None, "", ".".join(name)
        case [process, second, *name] if process in PROCESSES and second == table:
            return ProcessName(process), "", ".".join(name)
        case [workers, pool, third, *name] if workers == WORKERS and third == table:
            return ProcessName.WORKER, pool, ".".join(name)
    return None


def secret_lines(key: str, value: object, table: str) -> list[Line]:
    """The lines of `secrets = ["A", "B"]`, or of a table of that name: one a secret.

    A secret without more than its name has an empty value. With `-c` a list is a text with commas.
    """
    if isinstance(value, dict):
        return [Line(f"{key}.{name}", each, table) for name, each in value.items()]
    if isinstance(value, str) and table == "-c":
        value = [name.strip() for name in value.split(",")]
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return [Line(f"{key}.{name}", "", table) for name in value]
    return [Line(key, value, table)]


def _lines(table: str, keys: dict[str, Any]) -> Iterator[Line]:
    for key, value in keys.items():
        if key == SECRETS:
            yield from secret_lines(key, value, table)
        elif key in (*SECTIONS, ENV) and isinstance(value, dict):
            yield from _nested(key, value, table)
        elif key == WORKERS and isinstance(value, dict):
            for pool, own in value.items():
                yield from _pool(f"{WORKERS}.{pool}", own, table)
        elif not (table and key == EXTENDS):
            yield Line(key, value, table)


def _pool(pool: str, keys: object, table: str) -> Iterator[Line]:
    if isinstance(keys, dict):
        yield Line(pool, {}, table)
        yield from _nested(pool, keys, table)
    else:
        yield Line(pool, keys, table)


def _nested(section: str, keys: dict[str, Any], table: str) -> Iterator[Line]:
    has_own = section in PROCESSES or section.startswith(f"{WORKERS}.")
    for key, value in keys.items():
        name = f"{section}.{key}"
        if key == ENV and has_own and isinstance(value, dict):
            yield from (Line(f"{name}.{each}", inner, table) for each, inner in value.items())
        elif key == SECRETS and has_own:
            yield from secret_lines(name, value, table)
        else:
            yield Line(name, value, table)
