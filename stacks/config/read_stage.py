"""A stage's values: its defaults, what `stages.toml` says, then `-c key=value` for one deploy.

Standard library only.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stacks.config.processes import WORKERS
from stacks.config.read_pools import POOL_KEYS, declared, is_of_pool, read_pools
from stacks.config.secrets import expanded, is_secret, read_secrets
from stacks.config.stage import CONFIGURABLE, Stage
from stacks.config.stages_file import ENV, SECRETS, SECTIONS, STAGES_FILE, Line, read_lines
from stacks.config.values import ConfigError, check, unknown
from stacks.config.variables import is_variable, read_variables

OF_NETWORK = (
    "vpc_id", "vpc_cidr", "availability_zones", "subnet_layout", "zone_names", "public_subnet_ids",
    "private_subnet_ids", "isolated_subnet_ids", "egress",
)  # fmt: skip


def nested(key: str) -> str:
    """The key as it stands in a table of its own: `worker.cpu` for `worker_cpu`."""
    if key in OF_NETWORK:
        return f"network.{key}"
    section, _, rest = key.partition("_")
    return f"{section}.{rest}" if section in SECTIONS else key


# Both ways to write a key, in the file and with `-c`: `worker.cpu` and `worker_cpu`.
KEYS = {nested(key): key for key in CONFIGURABLE} | {key: key for key in CONFIGURABLE}


def read_stage(
    stage: str,
    overrides: Mapping[str, object] | None = None,
    *,
    file: Path = STAGES_FILE,
) -> Stage:
    """The settings of `stage`: defaults, the file, then `overrides` (which may be text).

    Raises `ConfigError` with every wrong key and value and what is allowed.
    """
    return explain_stage(stage, overrides, file=file)[0]


def explain_stage(
    stage: str,
    overrides: Mapping[str, object] | None = None,
    *,
    file: Path = STAGES_FILE,
) -> tuple[Stage, dict[str, Line]]:
    """The stage as `read_stage` has it, and for each key the line that its value is from.

    A key without a line has its default. The lines of variables are there by `env.NAME` and
    `worker.env.NAME`, those of secrets by `secrets.NAME` and `worker.secrets.NAME`, those of pools
    by `workers.reports.max_count`.
    """
    stages = read_lines(file)
    if stage not in stages:
        raise ConfigError(
            [f"stage = {stage!r}: {file.name} has no table [{stage}]; it has {', '.join(stages)}"]
        )
    lines = stages[stage]
    problems = [*_doubles(lines)]
    if any(line.key == "first_deploy" for line in lines):
        problems.append(
            f"first_deploy: is for one deployment, -c first_deploy=true, and not for {file.name}"
        )
    given = [Line(key, value, "-c") for key, value in (overrides or {}).items()]
    lines = declared([*lines, *(each for one in given for each in expanded(one))])
    variables = [line for line in lines if is_variable(line)]
    secrets = [line for line in lines if is_secret(line)]
    pools = [line for line in lines if is_of_pool(line)]
    of_stage = [line for line in lines if line not in (*variables, *secrets, *pools)]
    problems += [_unknown(line) for line in of_stage if line.key not in KEYS]
    found = {KEYS[line.key]: line for line in of_stage if line.key in KEYS}
    values: dict[str, Any] = {}
    try:
        values["variables"] = read_variables(variables)
    except ValueError as error:
        problems += str(error).splitlines()
    try:
        values["secrets"] = read_secrets(secrets, values.get("variables", ()))
    except ValueError as error:
        problems += str(error).splitlines()
    for key, line in found.items():
        try:
            values[key] = check(CONFIGURABLE[key], line.value, called=line.key)
        except ValueError as error:
            problems.append(str(error))
    worker = {key: values.get(field.name, field.default) for key, field in POOL_KEYS.items()}
    of_pools: dict[str, Line] = {}
    try:
        values["pools"], of_pools = read_pools(pools, worker)
    except ValueError as error:
        problems += str(error).splitlines()
    if problems:
        raise ConfigError(problems)
    named = {line.key: line for line in (*variables, *secrets)}
    return Stage(stage=stage, **values), found | of_pools | named


def _doubles(lines: list[Line]) -> Iterator[str]:
    seen: dict[tuple[str, str], str] = {}
    for line in lines:
        place = line.table, KEYS.get(line.key, line.key)
        if place in seen:
            yield f"{line.key}: stands twice in [{line.table}], as {seen[place]}, too"
        seen[place] = line.key


def _unknown(line: Line) -> str:
    section, dot, _ = line.key.partition(".")
    if dot:
        return unknown(line.key, [key for key in KEYS if key.startswith(f"{section}.")])
    tables = (*SECTIONS, WORKERS) if isinstance(line.value, dict) else ()
    return unknown(line.key, [*CONFIGURABLE, ENV, SECRETS, *tables])
