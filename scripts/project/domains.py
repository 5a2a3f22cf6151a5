"""The domains of a project: makes one that works, and takes one away."""

import keyword
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from string import Template

from scripts.errors import NotFoundError, OperatorError, RefusedError, UsageError

TEMPLATES = Path(__file__).with_name("templates") / "domain"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MOST_CHARACTERS = 30
RESERVED = ("jobs", "queues", "schedules", "tasks")  # routes of the service under /api/v1
CREATED = re.compile(r"\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.\"]+)", re.IGNORECASE)
# So that a domain of this name may come again, with tables of its own.
FORGET = "DELETE FROM moorage_migrations WHERE owner = 'domain/{name}';"
PAGE_ITEMS = "\n\nPAGE_ITEMS = 50\n\n"


@dataclass(frozen=True)
class Domain:
    """Where the files of a domain are."""

    project: Path
    name: str

    @property
    def code(self) -> Path:
        return self.project / "service/domain" / self.name

    @property
    def tests(self) -> Path:
        return self.project / "tests/domain" / self.name

    @property
    def stack(self) -> Path:
        return self.project / "stacks/domain" / f"{self.name}.py"

    @property
    def places(self) -> list[Path]:
        """Those places that exist."""
        return [each for each in (self.code, self.stack, self.tests) if each.exists()]

    def shown(self, path: Path) -> str:
        return path.relative_to(self.project).as_posix() + ("/" if path.is_dir() else "")


def names(project: Path) -> list[str]:
    """The domains of a project."""
    folders = (project / "service/domain").iterdir()
    return sorted(each.name for each in folders if (each / "__init__.py").is_file())


def create(
    project: Path, name: str, *, has_settings: bool = False, has_resource: bool = False
) -> list[str]:
    """Write the files of a new domain; their paths. Raises `UsageError` for a wrong name."""
    domain = Domain(project, name)
    if problems := list(_wrong_name(domain)):
        raise UsageError(f"{name!r} cannot be a domain: {'; '.join(problems)}")
    files = {
        domain.code / "__init__.py": "package",
        domain.code / "routes.py": "routes",
        domain.code / "jobs/__init__.py": "jobs",
        domain.code / "jobs/tasks.py": "tasks",
        domain.code / f"migrations/0001_create_{name}_items.sql": "migration",
        domain.tests / "__init__.py": "",
        domain.tests / f"test_{name}.py": "test",
    }
    if has_settings:
        files[domain.code / "settings.py"] = "settings"
    if has_resource:
        files[domain.stack] = "stack"
    words = {
        "name": name,
        "path": name.replace("_", "-"),
        "title": name.replace("_", " ").capitalize(),
        "page_items": f"Settings().{name}_page_items" if has_settings else "PAGE_ITEMS",
        "page_items_constant": "\n" if has_settings else PAGE_ITEMS,
        "settings_import": f"from service.domain.{name}.settings import Settings\n"
        if has_settings
        else "",
    }
    for file, template in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        text = (TEMPLATES / f"{template}.txt").read_text("utf-8") if template else ""
        file.write_text(Template(text).substitute(words), "utf-8")
    _format([file for file in files if file.suffix == ".py"])
    return [domain.shown(file) for file in files]


def _wrong_name(domain: Domain) -> Iterator[str]:
    name = domain.name
    if not NAME.fullmatch(name):
        yield "a name is a-z, 0-9 and single underscores between them, a letter first"
    if len(name) > MOST_CHARACTERS:
        yield f"a name has {MOST_CHARACTERS} characters at most"
    if keyword.iskeyword(name):
        yield "it is a word of Python's"
    if name in RESERVED:
        yield f"the service has the route /api/v1/{name} itself"
    taken = [*domain.places, domain.project / "tests/domain" / f"{name}.py"]
    for each in taken:
        if each.exists():
            yield f"{domain.shown(each)} is there already"


def _format(files: list[Path]) -> None:
    """Format as `make fmt` does, because where lines break depends on the name."""
    for command in (("format",), ("check", "--select=I", "--fix")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--quiet", "--no-cache", *map(str, files)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise OperatorError(f"ruff {command[0]}: {done.stdout}{done.stderr}".strip())


def find(project: Path, name: str) -> Domain:
    """A domain that is there. Raises `NotFoundError` with the nearest names."""
    domain = Domain(project, name)
    if NAME.fullmatch(name) and domain.places:
        return domain
    known = names(project)
    near = get_close_matches(name, known) or known
    raise NotFoundError(f"there is no domain {name!r}", f"There are: {', '.join(near) or 'none'}.")


def check_unused(domain: Domain) -> None:
    """Raises `RefusedError` where code outside of the domain names it."""
    pattern = re.compile(rf"\b(?:service|stacks|tests)\.domain\.{domain.name}\b")
    users = [
        domain.shown(file)
        for folder in ("service", "stacks", "tests")
        for file in sorted((domain.project / folder).rglob("*.py"))
        if not any(file.is_relative_to(place) for place in domain.places)
        and pattern.search(file.read_text("utf-8"))
    ]
    if users:
        raise RefusedError(
            f"{domain.name} is used by {', '.join(users)}", "Change these first, then remove it."
        )


def left_behind(domain: Domain) -> list[str]:
    """What stays when its files are gone, and how it goes."""
    tables = [
        table
        for file in sorted((domain.code / "migrations").glob("*.sql"))
        for table in CREATED.findall(file.read_text("utf-8"))
    ]
    lines = [
        "Jobs of its tasks that wait fail in a quarter of an hour: let them end before you deploy."
    ]
    if tables:
        drops = [f"DROP TABLE IF EXISTS {table};" for table in reversed(tables)]
        lines += [
            f"The tables stay in each database, with their rows: {', '.join(tables)}.",
            "To drop them, add a migration to another domain, one release later:",
            *(f"    {drop}" for drop in drops),
            f"    {FORGET.format(name=domain.name)}",
        ]
    if domain.stack.exists():
        lines.append(
            "What it has on AWS goes with the next deploy, but for what its stack file retains."
        )
    lines.append(
        "What stages.toml says for it (variables, queues, pools) stays: take it out by hand."
    )
    return lines


def remove(domain: Domain) -> None:
    """Delete its files."""
    for place in domain.places:
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
