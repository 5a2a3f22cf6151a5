"""What must hold in every stage's templates."""

from collections.abc import Callable
from types import ModuleType

import pytest

from tests.stacks.rules import (
    data,
    monitoring,
    network,
    scaling,
    service,
    task_definitions,
    wiring,
)
from tests.stacks.templates import Templates

Rule = Callable[[Templates], None]


def rules_of(module: ModuleType) -> list[Rule]:
    """The functions of a module that are told templates and answer nothing, and say of what."""
    return [
        value
        for value in vars(module).values()
        if callable(value)
        and getattr(value, "__module__", None) == module.__name__
        and value.__annotations__ == {"templates": Templates, "return": None}
    ]


MODULES = (service, task_definitions, scaling, data, network, monitoring, wiring)
RULES = [rule for module in MODULES for rule in rules_of(module)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_templates_keep(rule: Rule, templates: Templates) -> None:
    rule(templates)


def test_every_rule_names_what_it_mirrors() -> None:
    assert len(RULES) >= 60
    assert [rule.__name__ for rule in RULES if not rule.__doc__] == []
