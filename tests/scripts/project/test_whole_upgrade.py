"""A project with things of its own in every place takes the next release, with all of its checks.

`make upgrade-test`; the next release is this one with a change in every folder.
"""

import asyncio
import os
import re
import subprocess
import tempfile
from pathlib import Path

import asyncpg
import pytest

from scripts.project.distribution import Parts, files
from scripts.project.git import Git, named
from service.migrate import migrate
from service.testing.databases import copy_of
from tests.conftest import ROOT
from tests.project import copy

pytestmark = pytest.mark.upgrade

NEXT = "9.0.0"
MARK = "Of the next release."
OWN, THEIRS = "jsonschema", "jinja2"  # both are locked already, for the tests alone
STAGES = """
[env]
TILL_PAGE_ITEMS = "7"

[staging]
extends = "prod"
allow_http = true
[staging.worker]
max_count = 3
[staging.workers.slow]
queues = ["slow"]
"""
COMMAND_SECONDS = 1800


def run(folder: Path, *command: str) -> str:
    """What a command prints; it has to end well."""
    done = subprocess.run(
        command, cwd=folder, env=dict(os.environ) | named("Ada", "ada@example.com"),  # noqa: TID251
        capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file}: {old}"
    file.write_text(text.replace(old, new, 1))


def release(folder: Path) -> Path:
    """This checkout as a release."""
    folder.mkdir()
    copy(folder)
    for made in (".venv", "node_modules"):
        (folder / made).symlink_to(ROOT / made)
    return folder


def next_release(folder: Path) -> Path:
    """The one after it: each folder that projects have is changed, and so are both locks."""
    kit = release(folder)
    parts = Parts.read(kit)
    changed = set()
    for file in files(kit):
        if file.suffix in {".py", ".md", ".sh"} and parts.has(file) and file.parent not in changed:
            changed.add(file.parent)
            text = (kit / file).read_text()
            is_page = file.suffix == ".md"
            (kit / file).write_text(f"{text}\n{MARK}\n" if is_page else f"# {MARK}\n{text}")
    assert len(changed) > 60
    for name in ("Makefile", ".gitignore", ".dockerignore"):
        (kit / name).write_text((kit / name).read_text() + f"# {MARK}\n")
    for owner in ("queue", ".", "domain/search"):
        migrations = kit / "service" / owner / "migrations"
        migrations.mkdir(exist_ok=True)
        number = len(list(migrations.glob("*.sql"))) + 1
        table = f"next_of_{Path(owner).name or 'service'}"
        (migrations / f"{number:04}_create_{table}.sql").write_text(
            f"CREATE TABLE {table} (id INT);\n"
        )
    (kit / "service/domain/maps").mkdir()
    (kit / "service/domain/maps/__init__.py").write_text('"""A new example."""\n')
    change(kit / "stages.toml", "[prod]", "[prod] # of the next release")
    pyproject = kit / "pyproject.toml"
    text = re.sub('(?m)^version = "[^"]*"', f'version = "{NEXT}"', pyproject.read_text())
    pyproject.write_text(text.replace("    # yours", f'    "{THEIRS}",\n    # yours', 1))
    change(kit / "CHANGELOG.md", "\n## ", f"\n## {NEXT}\n\n### Upgrading\n\n- know of it\n\n## ")
    run(kit, "make", "-o", "setup", "lock", "LOCK_TOO=true", "SET_UP=true")
    return kit


def as_a_team(shop: Path) -> None:
    """A domain with route, task, table, settings and resource; a variable and a secret; a stage
    with a worker pool; a dependency; two examples less; another name."""
    moor = str(shop / ".venv/bin/moor")
    run(shop, moor, "domain", "new", "till", "--settings", "--resource")
    for name in ("feeds", "search"):
        run(shop, moor, "domain", "remove", name, "--yes")
    stages = shop / "stages.toml"
    change(stages, 'app_name = "shop"', 'app_name = "bakery"\nsecrets = ["STRIPE_KEY"]')
    stages.write_text(stages.read_text() + STAGES)
    (shop / "README.md").write_text("# The bakery\n")
    pyproject = shop / "pyproject.toml"
    line = next(line for line in pyproject.read_text().splitlines() if "# yours" in line)
    change(pyproject, line, f'{line}\n    "{OWN}>=4",')
    run(shop, "make", "lock")
    run(shop, "git", "add", "--all")
    run(shop, "git", "commit", "--quiet", "-m", "Sell bread")


async def migrated(dsn: str, shop: Path) -> list[str]:
    """The migrations that a process of the project applies at its start."""
    return await migrate(dsn, shop / "service")


def test_the_next_release_comes_in_with_everything_green(scratch: Path, postgres: str) -> None:
    place = Path(tempfile.mkdtemp(dir=scratch))
    shop = place / "shop"
    run(
        release(place / "moorage"),
        str(ROOT / ".venv/bin/python"),
        "-m",
        "scripts.cli",
        "new",
        str(shop),
    )
    run(shop, "make", "setup", "cdk")
    as_a_team(shop)
    for target in ("check", "test", "synth"):
        run(shop, "make", target)
    git = Git(shop)
    own = {
        path: (shop / path).read_text()
        for path in git.names("diff", "--name-only", "--diff-filter=AM", "-z", "HEAD~2", "HEAD")
        if not path.startswith(("requirements", "pyproject"))
    }
    assert {"README.md", "stages.toml", "stacks/domain/till.py"} <= own.keys()

    async def upgrade() -> None:
        async with copy_of(postgres, "template0") as dsn:
            before = await migrated(dsn, shop)
            assert "domain/till/0001_create_till_items" in before
            connection = await asyncpg.connect(dsn)
            await connection.execute("INSERT INTO till_items (job_key, text) VALUES ('a', 'bread')")

            kit = next_release(place / "next")
            shown = run(shop, str(shop / ".venv/bin/moor"), "upgrade", "--from", str(kit))

            assert "know of it" in shown
            applied = {name.rpartition("_")[2] for name in await migrated(dsn, shop)}
            assert applied == {"queue", "service"}  # not of search, which is deleted
            assert await connection.fetchval("SELECT text FROM till_items") == "bread"
            await connection.close()

    asyncio.run(upgrade())

    assert git.run("status", "--porcelain") == ""
    assert {path: (shop / path).read_text() for path in own} == own
    for gone in ("service/domain/feeds", "service/domain/search", "service/domain/maps",
                 "tests/domain/feeds", "tests/faults", "dev/kit.mk"):  # fmt: skip
        assert not (shop / gone).exists(), gone
    lock = (shop / "requirements.lock").read_text()
    assert {OWN, THEIRS} <= set(re.findall(r"(?m)^([a-z0-9-]+)==", lock))
    assert run(shop, str(shop / ".venv/bin/moor"), "--version") == f"moor {NEXT}\n"
