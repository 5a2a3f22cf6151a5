"""`api_reads_logs`: the API, and it alone, may read the logs of the stage's own processes."""

import json

from service.contract import EnvVar
from tests.stacks.rules.task_definitions import containers
from tests.stacks.templates import Templates, of, stage_of


def statements(templates: Templates) -> dict[str, str]:
    """The resources of the right, by the logical id of each policy that has it."""
    found = {}
    for policy in templates.all("AWS::IAM::ManagedPolicy"):
        for statement in policy.get("PolicyDocument")["Statement"]:
            if "logs:FilterLogEvents" in statement["Action"]:
                assert statement["Action"] == "logs:FilterLogEvents"
                found[policy.id] = json.dumps(statement["Resource"])
    return found


def told(templates: Templates) -> dict[str, str]:
    """What each container is told of it."""
    return {
        each["Name"]: variable["Value"]
        for each in containers(templates)
        for variable in each["Environment"]
        if variable["Name"] == EnvVar.CONSOLE_LOG_GROUPS
    }


def test_the_api_alone_may_read_its_own_stages_logs() -> None:
    templates = of(stage_of("pools", api_reads_logs=True, operator_policies=False))
    names = [f"/ecs/{templates.stage.names.prefix}-{each}" for each in (
        "api", "worker", "worker-mail", "worker-reports",
    )]  # fmt: skip
    found = statements(templates)
    assert found
    assert all(each.startswith("ApiRoles") for each in found), found
    for resources in found.values():
        assert [name for name in names if f":log-group:{name}:*" in resources] == names
        assert resources.count(":log-group:") == len(names)
    assert told(templates) == {"api": ",".join(names)}


def test_without_the_key_nothing_is_added() -> None:
    templates = of(stage_of("dev"))
    assert statements(templates) == {}
    assert told(templates) == {}
