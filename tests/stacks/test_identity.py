"""A change of what holds data, or of who may do what, is one that somebody has looked at."""

import json

import pytest

from stacks.config import STAGES
from tests.stacks.identity import FILE, identity
from tests.stacks.templates import of_stage

HINT = "look at the difference, then: python -m tests.stacks.identity"


@pytest.mark.parametrize("stage", STAGES)
def test_logical_ids_and_policies_are_those_that_were_looked_at(stage: str) -> None:
    assert identity(of_stage(stage)) == json.loads(FILE.read_text())[stage], HINT


@pytest.mark.parametrize("stage", STAGES)
def test_star_stands_only_where_a_call_knows_no_resource(stage: str) -> None:
    free = {
        "ecr:GetAuthorizationToken", "logs:DescribeLogGroups", "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    }  # fmt: skip
    for name, statements in identity(of_stage(stage))["policies"].items():
        for statement in statements:
            if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
                continue
            if statement.get("Resource") == "*" and "/Key" not in name:
                actions = statement["Action"]
                assert {actions} if isinstance(actions, str) else set(actions) <= free, name
