"""A change of what holds data, or of who may do what, is one that somebody has looked at."""

import json

import pytest

from tests.stacks.identity import FILE, identity
from tests.stacks.templates import STAGES, of_stage

KEYS = ("network/Key", "service/AlarmKey")
HINT = "look at the difference, then: python -m tests.stacks.identity"


@pytest.mark.parametrize("stage", STAGES)
def test_logical_ids_and_policies_are_those_that_were_looked_at(stage: str) -> None:
    assert identity(of_stage(stage)) == json.loads(FILE.read_text())[stage], HINT


def test_what_was_looked_at_names_no_app() -> None:
    assert of_stage("dev").stage.names.app not in FILE.read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_star_stands_only_where_a_call_knows_no_resource(stage: str) -> None:
    free = {
        "ecr:GetAuthorizationToken", "logs:DescribeLogGroups", "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    }  # fmt: skip
    for name, statements in identity(of_stage(stage))["policies"].items():
        if name.startswith("service/Operators"):
            continue  # of people: tests/agreement/test_operators.py
        for statement in map(json.loads, statements):
            if "Effect" not in statement or name.startswith(KEYS):  # there it means the key itself
                continue
            resources, actions = statement.get("Resource", []), statement["Action"]
            if statement["Effect"] == "Allow" and "*" in (
                resources if isinstance(resources, list) else [resources]
            ):
                assert set(actions if isinstance(actions, list) else [actions]) <= free, name
