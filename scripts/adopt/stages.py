"""The text of a `stages.toml`, from the keys of each stage."""

import json
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.contract import APP_NAME_MAX_CHARACTERS, APP_NAME_PATTERN, LOCAL_STAGE
from stacks.config.checks import MEMORY_BY_CPU, check_stage
from stacks.config.read_pools import RESERVED
from stacks.config.read_stage import KEYS, read_stage
from stacks.config.stage import CONFIGURABLE, CPU
from stacks.config.stages_file import ENV, PROCESSES, SECRETS, SECTIONS, STAGE_PATTERN
from stacks.config.values import ConfigError, check

# Names of stages whose data must not be lost.
PROTECTED = re.compile(r"(.*-)?(prod|production|live|prd)(-.*)?")
POOL = re.compile(r"workers\.[^.]+\.")
LARGEST = {"cpu": CPU[-1], "memory_mib": MEMORY_BY_CPU[CPU[-1]][-1]}
ACUS = ((0.5, 2), *((1, most) for most in (4, 8, 16, 32, 64, 128, 256)))  # the first: as it is
# A stage has one value of these keys for all its services. Where two services ask for different
# values, the larger by this measure serves both.
WEIGHED: dict[str, Callable[[Any], Any]] = {
    "enable_exec": bool, "log_retention_days": int, "network.egress": lambda value: value == "nat",
}  # fmt: skip
LOCAL = """
[local] # `make up`: the same stacks on a machine of your own
enable_exec = true
allow_http = true
database_tls = false
api_desired_count = 1
worker_desired_count = 1
"""


@dataclass
class Stage:
    """One stage: its name, the name of Copilot's environment, and its keys, such as `api.cpu`."""

    name: str
    environment: str
    keys: dict[str, Any] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)  # the file that a key is from

    def begin(self, process: str) -> None:
        """A pool serves the queue of its name."""
        if process.startswith("workers."):
            self.keys[f"{process}.queues"] = [process.partition(".")[2]]

    def add(self, keys: dict[str, Any], owner: str) -> str:
        """Take the keys of one more field. Returns why not where another service disagrees."""
        for key, value in keys.items():
            before, said = self.keys.get(key), self.owners.get(key, owner)
            taken = value
            if said != owner and before != value:
                if key not in WEIGHED:
                    return f"{said} has {before!r}, and a stage has one value of {key}"
                taken = max(before, value, key=WEIGHED[key])
            self.keys[key], self.owners[key] = taken, said
        return ""

    def refuses(self, keys: dict[str, Any]) -> str:
        """Why a stage cannot have the keys; empty where it can."""
        for key, value in keys.items():
            size = key.rpartition(".")[2]
            if size in LARGEST:
                if value > LARGEST[size]:
                    return f"{key} = {value}: the largest that Fargate has is {LARGEST[size]}"
            elif (of := POOL.sub("worker.", key)) in KEYS:
                try:
                    check(CONFIGURABLE[KEYS[of]], value, called=key)
                except ValueError as error:
                    return str(error)
        return ""

    def complete(self) -> None:
        """Add what a stage needs and no manifest says, and round sizes up to those of Fargate."""
        pools = dict.fromkeys(found[0][:-1] for key in self.keys if (found := POOL.match(key)))
        for process in (*PROCESSES, *pools):
            self._size(process)
            self._counts(process)
        egress = self.keys.setdefault("network.egress", "public")
        self.keys["network.subnet_layout"] = f"{egress}-2"
        if not self.keys.get("certificate_arn"):
            self.keys["allow_http"] = True
        if PROTECTED.fullmatch(self.name):
            self.keys["is_protected"] = True

    def _size(self, process: str) -> None:
        wanted = self.keys.get(f"{process}.cpu"), self.keys.get(f"{process}.memory_mib")
        if wanted == (None, None):
            return
        least_cpu, least_memory = wanted[0] or 0, wanted[1] or 0
        sizes = (
            (cpu, memory)
            for cpu in CPU if cpu >= least_cpu
            for memory in MEMORY_BY_CPU[cpu] if memory >= least_memory
        )  # fmt: skip
        cpu, memory = next(sizes)
        self.keys |= {f"{process}.cpu": cpu, f"{process}.memory_mib": memory}

    def _counts(self, process: str) -> None:
        least, most = (self.keys.get(f"{process}.{end}_count") for end in ("min", "max"))
        if least is None and most is None:
            return
        least = 1 if least is None else least
        most = max(most or least, least, 1)
        self.keys |= {f"{process}.min_count": least, f"{process}.max_count": most}


def is_of_process(key: str) -> bool:
    """Is it a variable or a secret, `worker.env.NAME`?"""
    return key.split(".")[1:2] in ([ENV], [SECRETS])


def app_name(found: str) -> str:
    """The application's name, changed so that stages.toml allows it."""
    name = re.sub(r"[^a-z0-9]+", "-", found.lower()).strip("-")[:APP_NAME_MAX_CHARACTERS].strip("-")
    return name if re.fullmatch(APP_NAME_PATTERN, name) else "app"


def stage_name(found: str, taken: Container[str] = ()) -> str:
    """An environment's name, changed so that a stage may have it.

    It is neither that of a table of stages.toml, nor `local`, nor one that is `taken`.
    """
    name = re.sub(r"[^a-z0-9]+", "-", found.lower()).strip("-")[:16].strip("-")
    if name in (*SECTIONS, ENV, LOCAL_STAGE, "workers", "secrets", "extends"):
        name = f"{name}-stage"
    if not re.fullmatch(STAGE_PATTERN, name):
        name = f"stage-{name}"[:16].strip("-")
    numbered = (f"{name[:13].strip('-')}-{number}" for number in range(2, 100))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def pool_name(found: str, taken: Container[str] = ()) -> str:
    """A service's name, changed so that a worker pool may have it; `api`, for one, is taken."""
    name = re.sub(r"[^a-z0-9]+", "-", found.lower()).strip("-")
    if not re.match("[a-z]", name) or re.fullmatch(RESERVED, name):
        name = f"pool-{name}"
    name = name[:16].strip("-")
    numbered = (f"{name[:13].strip('-')}-{number}" for number in range(2, 100))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def write_stages(app: str, stages: list[Stage]) -> tuple[str, list[str]]:
    """The text, and what is to be done by hand before its stages can be deployed."""
    for stage in stages:
        stage.complete()
    shared = _taken_out(stages)
    text = _text(app, shared, stages)
    by_hand = [
        f"stage {stage.name} is Copilot's environment {stage.environment}"
        for stage in stages
        if stage.name != stage.environment
    ]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "stages.toml"
        file.write_text(text, "utf-8")
        for stage in stages:
            _enlarge(stage, file)
        text = _text(app, shared, stages)
        file.write_text(text, "utf-8")
        for stage in stages:
            try:
                check_stage(read_stage(stage.name, file=file))
            except ConfigError as error:
                by_hand += [f"stage {stage.name}: {problem}" for problem in error.problems]
    return text, by_hand


def _enlarge(stage: Stage, file: Path) -> None:
    """Make the database as large as its connections must be for the counts of ECS tasks."""
    for least, most in ACUS:
        capacity = {"database_min_acu": least, "database_max_acu": most}
        try:
            check_stage(read_stage(stage.name, capacity, file=file))
        except ConfigError as error:
            if any(problem.startswith("database_max_acu") for problem in error.problems):
                continue
        break
    if (least, most) != ACUS[0]:
        stage.keys |= {"database.min_acu": least, "database.max_acu": most}


def _taken_out(stages: list[Stage]) -> dict[str, Any]:
    """Take out the sizes and variables that all stages share: they are written once, at the top.

    So they count for stage local too.
    """
    for stage in stages:
        for key, value in list(stage.keys.items()):
            process, _, name = key.partition(".")
            other = f"{PROCESSES[process == PROCESSES[0]]}.{name}"
            if is_of_process(key) and stage.keys.get(other, stage) == value:
                del stage.keys[key], stage.keys[other]
                stage.keys[name] = value
    shared = {
        key: value
        for key, value in stages[0].keys.items()
        if re.fullmatch(rf"(\w+\.|{POOL.pattern})?(env\..*|cpu|memory_mib|queues)", key)
        and all(stage.keys.get(key) == value for stage in stages)
        and not isinstance(value, type(None))
    }
    for stage in stages:
        stage.keys = {key: value for key, value in stage.keys.items() if key not in shared}
    return shared


def _text(app: str, shared: dict[str, Any], stages: Iterable[Stage]) -> str:
    head = (
        "# Written by `moor adopt copilot`. What is left out keeps its default: docs/stages.md.\n\n"
    )
    parts = [head + f"app_name = {_value(app)}\n" + _tables("", shared)]
    for stage in sorted(stages, key=lambda each: bool(each.keys.get("is_protected"))):
        parts.append(f"\n[{stage.name}]\n" + _tables(f"{stage.name}.", stage.keys))
    return "".join(parts) + LOCAL


def _tables(prefix: str, keys: dict[str, Any]) -> str:
    """Plain keys first, then a table for each section."""
    lines, tables = "", dict[str, str]()
    for key in sorted(keys, key=lambda each: each.split(".")):
        table, _, name = key.rpartition(".")
        line = f"{name} = {_value(keys[key])}\n"
        if table:
            tables[table] = tables.get(table, "") + line
        else:
            lines += line
    return lines + "".join(f"\n[{prefix}{table}]\n{text}" for table, text in tables.items())


def _value(value: Any) -> str:
    """A value as TOML writes it: as JSON does, but for the character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
