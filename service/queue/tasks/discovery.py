"""Finding the tasks of the domains: their `jobs/{tasks,scheduled,startup,shutdown}.py`."""

import importlib
import pkgutil
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from service.queue.errors import RegistrationError
from service.queue.tasks.registry import Registry, registry, shown_path

JOB_MODULES = ("tasks", "scheduled", "startup", "shutdown")


def discover(package_name: str = "service.domain") -> Registry:
    """Import `jobs/{tasks,scheduled,startup,shutdown}.py` of each domain; the filled registry.

    Raises what a module raises on import, and `RegistrationError` for a module that would not be
    found: a worker with half of its tasks would fail jobs that are right.
    """
    for domain in domains(package_name):
        jobs = f"{domain.__name__}.jobs"
        if (is_folder := _inside(domain, {"jobs"}).get("jobs")) is None:
            continue
        if not is_folder:
            raise RegistrationError(
                f"{_file(domain, 'jobs.py')}: jobs is a folder; move this to jobs/tasks.py, "
                "beside an empty jobs/__init__.py"
            )
        package = importlib.import_module(jobs)
        names = _inside(package, JOB_MODULES)
        for name in JOB_MODULES:
            if name in names:
                importlib.import_module(f"{jobs}.{name}")
        for name, is_folder in names.items():
            # what the modules above import is a helper of theirs
            if not name.startswith("_") and f"{jobs}.{name}" not in sys.modules:
                raise RegistrationError(
                    f"{_file(package, name if is_folder else f'{name}.py')}: jobs are found in "
                    f"{', '.join(f'{known}.py' for known in JOB_MODULES)} alone; "
                    "rename this, or import it in one of them"
                )
    return registry


def domains(package_name: str = "service.domain") -> list[ModuleType]:
    """The domain packages, by name. Raises `RegistrationError` for a folder that is none."""
    return [
        importlib.import_module(f"{package_name}.{name}")
        for name, is_folder in _inside(importlib.import_module(package_name)).items()
        if is_folder
    ]


def _inside(package: ModuleType, wanted: Collection[str] = ()) -> dict[str, bool]:
    """The modules in `package` by name: is it a folder?

    Raises `RegistrationError` for a folder without `__init__.py`: one of `wanted`, if given.
    """
    found = {one.name: one.ispkg for one in pkgutil.iter_modules(package.__path__)}
    for folder in (each for place in package.__path__ for each in Path(place).iterdir()):
        is_hidden = folder.name.startswith((".", "_")) or (wanted and folder.name not in wanted)
        if folder.name not in found and not is_hidden and any(folder.rglob("*.py")):
            raise RegistrationError(
                f"{shown_path(folder)}: has no __init__.py, so nothing in it is found; "
                "add an empty one there"
            )
    return dict(sorted(found.items()))


def _file(package: ModuleType, name: str) -> str:
    return shown_path(Path(package.__path__[0]) / name)
