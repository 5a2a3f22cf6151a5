"""A project whose only domain is the tests' own, `tests/sample_domains/`.

Tests that are the kit's know no other: a team deletes the worked examples, and writes its own.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from service.queue import Registry, discover
from service.queue.tasks.task import TaskFunction
from tests.project import ROOT, copy

PACKAGE = "tests.sample_domains"
DOMAINS = ROOT / "tests/sample_domains"
OWN = (PACKAGE, "tests.service.tasks")  # whose tasks and hooks a process of the tests has
LINKED = ("pyproject.toml", "scripts", "stacks", "stages.toml", "tests")
MADE = (".venv", "node_modules")  # by `make setup`


def link_project(folder: Path, own: Iterable[Path] = tuple(DOMAINS.iterdir())) -> Path:
    """Its files are this project's, so a process that starts there finds them compiled.

    `own` are the folders of its domains.
    """
    domains = folder / "service/domain"
    domains.mkdir(parents=True)
    for each in (ROOT / "service").iterdir():
        if each.name != domains.name:
            (folder / "service" / each.name).symlink_to(each)
    for each in own:
        (domains / each.name).symlink_to(each)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    return folder


def copy_project(folder: Path) -> Path:
    """Its files are its own, to be changed and deployed."""

    def is_kept(file: Path) -> bool:
        is_of_domain = file.parts[1:2] == ("domain",) and file != Path("stacks/domain/__init__.py")
        return file.parts[0] != "tests" and not is_of_domain

    copy(folder, has=is_kept)
    shutil.copytree(DOMAINS, folder / "service/domain")
    for made in MADE:
        (folder / made).symlink_to(ROOT / made)
    return folder


def sample_registry() -> Registry:
    """What the sample domain and the tests have registered.

    The registry of a process has what other tests of it have imported as well: the project's own.
    """

    def own(hooks: list[TaskFunction]) -> list[TaskFunction]:
        return [hook for hook in hooks if hook.__module__.startswith(OWN)]

    found = discover(PACKAGE)
    made = Registry(
        startup=own(found.startup),
        shutdown=own(found.shutdown),
        before=own(found.before),
        after=own(found.after),
    )
    for task in found.tasks.values():
        if own([task.function]):
            made._add(task)
    return made
