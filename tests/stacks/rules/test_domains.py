"""The project's domains: what they add is safe, and the stage itself keeps its rules beside it."""

import pytest

from stacks.config.stage import Stage
from tests.stacks.rules.domains import broken
from tests.stacks.rules.test_rules import RULES, Rule
from tests.stacks.templates import Templates, deployed, projects_stages

STAGES = pytest.mark.parametrize("stage", projects_stages().values(), ids=list(projects_stages()))
# They say what a stage has and that it has nothing else. A domain may add to it: a variable, an
# endpoint, a way to its own database, an end to the objects of a prefix.
NOTHING_ELSE = {
    "every_container_is_told_what_it_needs",
    "objects_are_reached_without_the_internet",
    "only_secrets_carry_credentials",
    "payloads_end",
    "ways_are_named_at_both_ends",
}


def weakened(templates: Templates) -> list[str]:
    """A line for each rule that the stage's own resources do not keep beside those of domains."""
    return [
        f"{rule.__name__} no longer holds of the stage itself ({rule.__doc__}): a file in "
        f"stacks/domain changes what is not its own{_says(error)}"
        for rule in RULES
        if rule.__name__ not in NOTHING_ELSE
        if (error := _error(rule, templates.without_domains()))
    ]


def _error(rule: Rule, templates: Templates) -> Exception | None:
    try:
        rule(templates)
    except (AssertionError, LookupError, TypeError, ValueError) as error:  # whatever is not there
        return error
    return None


def _says(error: Exception) -> str:
    return f": {error}" if str(error) else ""


@STAGES
def test_what_domains_add_is_safe(stage: Stage) -> None:
    found = broken(deployed(stage))
    assert not found, "\n".join(found)  # each in full


@STAGES
def test_no_domain_weakens_the_stage(stage: Stage) -> None:
    found = weakened(deployed(stage))
    assert not found, "\n".join(found)


def test_the_exceptions_are_rules() -> None:
    assert {rule.__name__ for rule in RULES} >= NOTHING_ELSE
