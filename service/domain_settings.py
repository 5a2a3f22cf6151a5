"""The settings of the domains: `DomainSettings` of each `service/domain/<name>/settings.py`."""

import importlib
import pkgutil
from collections.abc import Iterator

from pydantic import ValidationError

from service.contract import ProcessName
from service.queue.tasks.discovery import domains
from service.settings import DomainSettings, problems_of


def domain_problems(process: ProcessName, package: str = "service.domain") -> list[str]:
    """What keeps `process` from starting: a line for each variable that is missing or wrong.

    Raises what a module raises on import, and `RegistrationError` for a folder that is no domain.
    """
    problems = []
    for kind in _settings(package):
        if process in kind.processes:
            try:
                kind()
            except ValidationError as error:
                problems += problems_of(error, kind)
    return list(dict.fromkeys(problems))  # two domains may read the same variable


def _settings(package: str) -> Iterator[type[DomainSettings]]:
    for domain in domains(package):
        if "settings" in {each.name for each in pkgutil.iter_modules(domain.__path__)}:
            module = importlib.import_module(f"{domain.__name__}.settings")
            yield from (
                value
                for value in vars(module).values()
                if isinstance(value, type)
                and issubclass(value, DomainSettings)
                and value.__module__ == module.__name__
            )
