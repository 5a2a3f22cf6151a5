"""What must hold in every stage's templates, and in the corners of the configuration."""

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
from tests.stacks.templates import Templates, synthesize

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


CORNERS: dict[str, dict[str, object]] = {
    "sleeping workers": {"worker_min_count": 0, "worker_spot_percent": 70},
    "a domain of its own": {
        "domain_name": "api.example.com",
        "hosted_zone_name": "example.com",
        "hosted_zone_id": "Z0123456789",
        "egress": "endpoints",
        "email_from": "hello@example.com",
    },
    "nothing runs": {
        **dict.fromkeys(
            (
                "api_min_count",
                "api_desired_count",
                "worker_min_count",
                "worker_desired_count",
                "database_min_acu",
            ),
            0,
        ),
        "database_reader": True,
    },
    "a database of one size": {"database_min_acu": 2, "database_max_acu": 2},
    "given counts": {"worker_desired_count": 3, "api_desired_count": 2, "availability_zones": 3},
}


@pytest.mark.parametrize("corner", CORNERS)
def test_rules_hold_in_the_corners(corner: str) -> None:
    templates = synthesize("dev", **CORNERS[corner])
    for rule in RULES:
        rule(templates)
