"""Finds the tasks of the domains, in their `jobs/{tasks,scheduled,startup,shutdown}.py`."""

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
    """Import the job modules of each domain. Returns the registry with their tasks.

    Raises what a module raises on import, and `RegistrationError` for a module in `jobs/` that
    would not be imported: a worker without some of its tasks would fail their jobs.
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
            # a module that one of the job modules imports is fine
            if not name.startswith("_") and f"{jobs}.{name}" not in sys.modules:
                raise RegistrationError(
                    f"{_file(package, name if is_folder else f'{name}.py')}: only "
                    f"{', '.join(f'{known}.py' for known in JOB_MODULES)} are imported; "
                    "rename this, or import it in one of them"
                )
    return registry


def domains(package_name: str = "service.domain") -> list[ModuleType]:
    """The domain packages, in the order of their names.

    Raises `RegistrationError` for a folder with Python files that is no package.
    """
    return [
        importlib.import_module(f"{package_name}.{name}")
        for name, is_folder in _inside(importlib.import_module(package_name)).items()
        if is_folder
    ]


def _inside(package: ModuleType, wanted: Collection[str] = ()) -> dict[str, bool]:
    """The modules in `package`: each name, and whether it is a folder.

    Raises `RegistrationError` for a folder with Python files and no `__init__.py`; with `wanted`
    only for folders of these names.
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
