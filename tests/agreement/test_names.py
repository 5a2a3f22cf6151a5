"""Physical names, outputs and commands are those that operators type and commands look up."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import cli
from service.contract import ProcessName, pool_process
from stacks.config.naming import OF_POOL, Names, Output, pool_output
from stacks.config.operator_rights import POLICIES
from tests.conftest import ROOT
from tests.stacks.templates import STAGES, of_stage, synthesize

PHYSICAL = {
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::ECS::Service": "ServiceName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::ECS::TaskDefinition": "Family",
    "AWS::RDS::DBCluster": "DBClusterIdentifier",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::WAFv2::WebACL": "Name",
}
# Properties that give other resources a physical name; none of ours may have one.
NAMING = {"BucketName", "TopicName", "RoleName", "GroupName", "AlarmName", "AliasName",
          "ManagedPolicyName", "FunctionName", "DBInstanceIdentifier"}  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_physical_names_are_those_of_naming(stage: str) -> None:
    templates = of_stage(stage)
    names = templates.stage.names
    wanted = {
        names.cluster, names.database, names.dashboard, names.exec_log_group,
        names.database_log_group, None,  # the flow log's group has none
        *(names.service(of.name) for of in templates.stage.processes),
        *(names.log_group(of.name) for of in templates.stage.processes),
        *(f"{names.prefix}-{of.name}" for of in templates.stage.processes),
    }  # fmt: skip
    if templates.stage.web_firewall:
        wanted |= {f"aws-waf-logs-{names.prefix}", names.prefix}
    found = {each.get(PHYSICAL[each.type]) for each in templates if each.type in PHYSICAL}
    assert found == wanted


A_STAGE = re.compile(
    r"(dev|staging|prod|production)|.*(--stage|stage=) ?(dev|staging|prod|production)\b.*",
    re.DOTALL,
)
KNOWN = {
    ("stacks/config/stages_file.py", "dev"),  # where none is named, if there is one
    ("scripts/cli.py", cli.HELP),  # an example
    ("scripts/adopt/adoption.py", "prod"),  # of a workspace of Copilot without environments
    ("scripts/commands/__init__.py", "dev"),  # the command
    ("scripts/project/locks.py", "dev"),  # a group of dependencies
}


def test_no_code_knows_a_stage_by_its_name() -> None:
    """A project calls them as it likes: only docstrings, which `--help` shows, have examples."""
    found = set()
    for file in (path for of in ("scripts", "service", "stacks") for path in files(of)):
        text = file.read_text("utf-8")
        if re.search(r"\b(dev|staging|prod|production)\b", text):
            found |= {(str(file.relative_to(ROOT)), each) for each in constants(text)}
    assert {each for each in found if A_STAGE.fullmatch(each[1])} == KNOWN


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def constants(text: str) -> Iterator[str]:
    """Every string of a module that is no docstring."""
    nodes = list(ast.walk(ast.parse(text)))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {id(each.body[0].value) for each in nodes if isinstance(each, kinds)
                  and each.body and isinstance(each.body[0], ast.Expr)}  # fmt: skip
    for each in nodes:
        if isinstance(each, ast.Constant) and id(each) not in docstrings:
            yield str(each.value)


@pytest.mark.parametrize("stage", STAGES)
def test_everything_else_is_named_by_cloudformation(stage: str) -> None:
    named = [
        (each.id, property)
        for each in of_stage(stage)
        for property in each.properties
        if property in NAMING and not each.type.startswith("Custom::")
    ]
    assert named == []


@pytest.mark.parametrize("stage", STAGES)
def test_outputs_are_those_that_commands_look_up(stage: str) -> None:
    templates = of_stage(stage)
    absent = {Output.DEBUG_ROLE if templates.stage.enable_exec else Output.EXEC_COMMAND}
    if not templates.stage.operator_policies:
        absent |= set(POLICIES.values())
    pools = [pool.pool for pool in templates.stage.pools]
    if not pools:
        absent.add(Output.WORKER_POOLS)
    wanted = {pool_output(output, pool) for output in OF_POOL for pool in pools} | set(Output)
    found = templates.outputs()
    assert set(found) == wanted - absent
    assert found.get(Output.WORKER_POOLS, {"Value": ""})["Value"] == ",".join(pools)


def test_another_app_name_names_everything_anew() -> None:
    templates = synthesize("dev", app_name="shop")
    assert templates.one("AWS::ECS::Cluster").get("ClusterName") == "shop-dev-cluster"
    assert "moorage-dev" not in str(templates.stacks)


def test_names_are_as_documented() -> None:
    names = Names("moorage", "prod")
    assert names.service(pool_process("reports")) == "moorage-prod-worker-reports-service"
    assert names.log_group(pool_process("reports")) == "/ecs/moorage-prod-worker-reports"
    assert names.cluster == "moorage-prod-cluster"
    assert names.service(ProcessName.WORKER) == "moorage-prod-worker-service"
    assert names.log_group(ProcessName.API) == "/ecs/moorage-prod-api"
    assert names.service_stack == "moorage-prod-service"


@pytest.mark.parametrize("key", [Output.SCALE_COMMAND, Output.LOGS_COMMAND, Output.EXEC_COMMAND])
def test_commands_in_the_outputs_name_what_was_deployed(key: Output) -> None:
    templates = of_stage("dev")
    command = templates.outputs()[key]["Value"]
    words = shlex.split(command.replace("$(", "").replace(")", ""))
    assert words[0] == "aws"
    deployed = {str(each.get(PHYSICAL[each.type])) for each in templates if each.type in PHYSICAL}
    named = {word for word in words if templates.stage.names.prefix in word}
    assert named
    assert named <= deployed
    if key is Output.EXEC_COMMAND:
        assert words[words.index("--container") + 1] == ProcessName.WORKER
