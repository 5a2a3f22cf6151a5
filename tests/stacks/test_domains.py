"""What a domain's file in `stacks/domain/` adds to a stage: those of docs/extending.md, and one of
these tests."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import app
from scripts.cost.estimate import estimate
from scripts.cost.prices import read_prices
from scripts.templates.template import read_template
from service.contract import ProcessName
from service.domain_settings import domain_problems
from stacks.config.values import ConfigError
from tests import extending
from tests.agreement.test_environment import environment
from tests.stacks.rules.domains import broken
from tests.stacks.rules.task_definitions import containers
from tests.stacks.rules.test_domains import weakened
from tests.stacks.scanners.test_lint import lint
from tests.stacks.templates import NO_DOMAINS, Resource, Templates, deployed, stage_of

TILL = """
from aws_cdk import RemovalPolicies, RemovalPolicy, aws_iam as iam, aws_sqs as sqs

from stacks.acknowledge import acknowledge

def resources(domain):
    bell = sqs.Queue(domain, "Bell", enforce_ssl=True, removal_policy=RemovalPolicy.DESTROY)
    passing = sqs.Queue(domain, "Passing", enforce_ssl=True)
    RemovalPolicies.of(passing).destroy()
    acknowledge(domain, "A bell that nobody heard is not rung again.", "AwsSolutions-SQS3")
    acknowledge(bell, "It is no secret.", "CKV_AWS_27", "CKV_AWS_1", "W3005")
    domain.both.grant(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[bell.queue_arn]))
    domain.both.variable("TILL_BELL", bell.queue_url)
    domain.workers.variable("TILL_COINS", "5")
"""
if TYPE_CHECKING:
    from stacks.service.service_stack import ServiceStack

POOL = {"workers.mail.queues": "mail", "database_max_acu": 4}
ROLES = {"WorkerRolesTaskRole", "WorkerRolesTask", "WorkerRolesDebug"}


@pytest.fixture(scope="module")
def some_domains(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A package with the resources of docs/extending.md, and of a domain of the tests."""
    folder = tmp_path_factory.mktemp("domains")
    extending.write(folder, "archive", "carts", "legacy", "orders")
    (folder / "stacks/domain").rename(folder / "domains_of_tests")
    (folder / "service/domain").rename(folder / "code_of_tests")
    (folder / "code_of_tests/__init__.py").touch()
    (folder / "domains_of_tests/till.py").write_text(TILL)
    (folder / "domains_of_tests/_shared.py").touch()
    sys.path.insert(0, str(folder))
    yield "domains_of_tests"
    sys.path.remove(str(folder))


@pytest.fixture
def added(some_domains: str) -> Templates:
    """A protected stage with those domains, in a network without a way out."""
    stage = stage_of("prod", egress="endpoints", subnet_layout="endpoints-2")
    return deployed(stage, some_domains)


def of_domains(templates: Templates) -> list[Resource]:
    return [each for each in templates if each.id.startswith("Domain")]


def test_constructs_are_in_the_service_stack_under_the_domains_name(added: Templates) -> None:
    found = of_domains(added)
    assert {each.stack for each in found} == {"service"}
    table = added.one("AWS::DynamoDB::Table")
    assert table.id == "DomaincartsCartsAEF758F5"  # the data goes with another id
    assert added.outputs()["DomainCartsTable"]["Value"] == {"Ref": table.id}


def test_a_protected_stage_keeps_what_holds_data_unless_told_otherwise(added: Templates) -> None:
    from stacks.domains import WITH_DATA

    kept = {
        each.id[:-8]: each.body.get("DeletionPolicy")
        for each in of_domains(added)
        if each.type in WITH_DATA
    }
    assert kept.pop("DomaintillPassing") == "Delete"
    assert len(kept) == 5
    assert set(kept.values()) == {"RetainExceptOnCreate"}
    others = [each for each in of_domains(added) if each.type not in WITH_DATA]
    assert [each.id for each in others if "Retain" in str(each.body.get("DeletionPolicy"))] == []


def test_rights_are_given_to_all_roles_that_run_the_code_before_it_starts(added: Templates) -> None:
    worker = added.one("AWS::ECS::Service", "Worker").body["DependsOn"]
    rights = added.one("AWS::IAM::ManagedPolicy", "Domainorders")
    assert {role["Ref"][:-8] for role in rights.get("Roles")} == ROLES
    assert rights.id in worker
    (consume,) = rights.get("PolicyDocument.Statement")
    assert "sqs:ReceiveMessage" in consume["Action"]
    assert consume["Resource"] == {
        "Fn::GetAtt": [added.one("AWS::SQS::Queue", "DomainordersQueue").id, "Arn"]
    }
    both = added.one("AWS::IAM::ManagedPolicy", "Domaintill")
    assert {role["Ref"][:-8] for role in both.get("Roles")} == {
        *ROLES, "ApiRolesTaskRole", "ApiRolesTask",
    }  # fmt: skip
    assert both.id in added.one("AWS::ECS::Service", "Api").body["DependsOn"]


def test_variables_reach_the_containers_that_they_are_for(added: Templates) -> None:
    told = {
        each["Name"]: {one["Name"]: one["Value"] for one in each["Environment"]}
        for each in containers(added)
    }
    bell = {"Ref": added.one("AWS::SQS::Queue", "DomaintillBell").id}
    assert told[ProcessName.API]["TILL_BELL"] == told[ProcessName.WORKER]["TILL_BELL"] == bell
    assert told[ProcessName.WORKER]["TILL_COINS"] == "5"
    assert "TILL_COINS" not in told[ProcessName.API]
    assert "CARTS_TABLE" in told[ProcessName.API]
    assert "CARTS_TABLE" not in told[ProcessName.WORKER]
    assert not any(name.startswith(("TILL", "CARTS")) for name in told[ProcessName.MIGRATE])


@pytest.mark.usefixtures("some_domains")
def test_settings_of_a_domain_are_what_its_resources_tell(
    added: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    for container in containers(added):
        process = ProcessName(container["Name"])
        if process is not ProcessName.MIGRATE:
            assert domain_problems(process, "code_of_tests") != []
            with monkeypatch.context() as patch:
                for name, value in environment(container).items():
                    patch.setenv(name, value)
                assert domain_problems(process, "code_of_tests") == []


def test_a_network_without_a_way_out_gets_the_endpoints(added: Templates) -> None:
    made = {
        each.id[:-8]: each.get("VpcEndpointType") for each in added.all("AWS::EC2::VPCEndpoint")
    }
    assert made["NetworkVpcSqsEndpoint"] == "Interface"
    assert made["NetworkVpcDynamodbGateway"] == "Gateway"


def test_what_is_documented_keeps_every_rule(added: Templates) -> None:
    assert broken(added) == []
    assert weakened(added) == []


@pytest.mark.parametrize(
    ("type", "properties", "said"),
    [
        ("AWS::SecretsManager::Secret", {"SecretString": "s3cret"}, "whose value stands in the"),
        ("AWS::IAM::AccessKey", {"UserName": "bot"}, "a key that does not end: grant"),
        ("AWS::Lambda::Function", {"Environment": {"Variables": {"TOKEN": {
            "Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": "S"}, ":SecretString:::}}"]]
        }}}}, "TOKEN of DomainshopThing is the value of a secret, in plain"),
        ("AWS::ECS::TaskDefinition", {"ContainerDefinitions": [{"Name": "worker", "Environment": [
            {"Name": "TOKEN", "Value": "{{resolve:ssm-secure:/token:1}}"}
        ]}]}, "TOKEN of container worker is the value of a secret, in plain"),
    ],
)  # fmt: skip
def test_what_a_domain_adds_unsafely_is_named_with_what_to_do(
    type: str, properties: dict[str, Any], said: str, tmp_path: Path
) -> None:
    task = {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": []}}
    wrong = {"Type": type, "Properties": properties}
    templates = Templates(
        stage_of("dev"), {"service": {"Resources": {"Task": task, "DomainshopThing": wrong}}},
        tmp_path,
    )  # fmt: skip
    (line,) = broken(templates)
    assert said in line
    assert "DomainshopThing" in line or type == "AWS::ECS::TaskDefinition"


def test_a_domain_that_opens_what_is_the_stages_own_is_said_with_the_rule(added: Templates) -> None:
    opened = added.copy()
    bucket = opened.one("AWS::S3::Bucket", "Bucket")
    bucket.properties["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False
    (line,) = weakened(opened)
    assert line.startswith("buckets_are_private no longer holds of the stage itself (S3.1")
    assert "a file in stacks/domain changes what is not its own" in line


def test_a_construct_is_named_as_the_code_names_it(added: Templates) -> None:
    assert added.construct(added.one("AWS::DynamoDB::Table")) == "Domain/carts/Carts"


def test_each_is_in_the_cost_of_the_stage(added: Templates) -> None:
    found = estimate(read_template(added.folder), read_prices())
    assert found.unknown == ()
    for line in ("1 table of DynamoDB: 0.625 USD", "4 queues of SQS: 0.4 USD", "3 buckets: what"):
        assert [note for note in found.by_use if note.startswith(line)], line


def test_a_database_that_is_there_opens_to_the_workers_alone(added: Templates) -> None:
    (way_in,) = (
        each for each in added.all("AWS::EC2::SecurityGroupIngress") if each.get("FromPort") == 5432
    )
    assert way_in.get("GroupId") == "sg-0123456789abcdef0"
    assert "WorkerServiceSecurityGroup" in str(way_in.get("SourceSecurityGroupId"))
    (way_out,) = (
        each for each in added.all("AWS::EC2::SecurityGroupEgress") if each.get("FromPort") == 5432
    )
    assert way_out.get("DestinationSecurityGroupId") == "sg-0123456789abcdef0"


def test_a_second_bucket_is_like_the_first_and_logged(added: Templates) -> None:
    first, second = (added.one("AWS::S3::Bucket", name) for name in ("Bucket", "Domainarchive"))
    for name in ("PublicAccessBlockConfiguration", "OwnershipControls", "VersioningConfiguration"):
        assert second.get(name) == first.get(name)
    assert second.get("LoggingConfiguration.LogFilePrefix") == "archive/Bucket/"
    logs = str(added.one("AWS::S3::BucketPolicy", "LogBucket").get("PolicyDocument"))
    assert "/archive/Bucket/*" in logs
    assert "Domain" not in logs  # or the stacks would depend on each other


def test_a_finding_of_checkov_or_cfn_lint_is_accepted_in_the_template(added: Templates) -> None:
    metadata = added.one("AWS::SQS::Queue", "DomaintillBell").body["Metadata"]
    assert metadata["checkov"]["skip"] == [
        {"id": "CKV_AWS_27", "comment": "It is no secret."},
        {"id": "CKV_AWS_1", "comment": "It is no secret."},
    ]
    assert metadata["cfn-lint"]["config"]["ignore_checks"] == ["W3005"]


def test_cfn_lint_finds_nothing_in_what_the_page_shows(added: Templates, tmp_path: Path) -> None:
    """In the part of the template that domains add; the whole takes it a good while longer."""
    kept = {each.id: each.body for each in of_domains(added)}
    file = tmp_path / "domains.template.json"
    file.write_text(json.dumps({"Resources": _without_others(kept, set(kept))}))
    result = lint([str(file)])
    assert result.stdout == ""
    assert result.returncode == 0, result.stderr


def _without_others(value: Any, kept: set[str]) -> Any:
    """A reference to another resource is of the kind that it should be, for all that is known."""
    if isinstance(value, list):
        return [_without_others(each, kept) for each in value]
    if not isinstance(value, dict):
        return value
    target = value.get("Ref") or (value.get("Fn::GetAtt") or [None])[0]
    if target and target not in kept and "::" not in target:
        return {"Fn::ImportValue": target}
    return {name: _without_others(each, kept) for name, each in value.items()}


def test_data_goes_with_a_stage_that_is_not_protected(some_domains: str) -> None:
    from stacks.domains import WITH_DATA

    dev = deployed(stage_of("dev", **POOL), some_domains)
    for each in of_domains(dev):
        if each.type in WITH_DATA and not each.id.startswith("Domaintill"):
            assert each.body["DeletionPolicy"] == "Delete", each.id
    assert "Domainlegacy" not in str(dev.stacks)  # the stage is not named there


def test_a_pool_of_workers_gets_what_all_workers_get(some_domains: str) -> None:
    dev = deployed(stage_of("dev", **POOL), some_domains)
    rights = dev.one("AWS::IAM::ManagedPolicy", "Domainorders")
    roles = [role["Ref"] for role in rights.get("Roles")]
    assert len(roles) == len(set(roles))
    services = [each for each in dev.all("AWS::ECS::Service") if "Worker" in each.id]
    assert len(services) == 2
    assert all(rights.id in each.body["DependsOn"] for each in services)
    told = [str(each["Environment"]) for each in containers(dev) if each["Name"] != "api"]
    assert sum("ORDERS_QUEUE_URL" in each for each in told) == 2
    for each in dev.all("AWS::ECS::TaskDefinition"):
        if "Worker" in each.id:
            assert each.get("TaskRoleArn")["Fn::GetAtt"][0] in roles


@pytest.fixture(scope="module")
def service() -> "ServiceStack":
    from aws_cdk import App

    from stacks.build import build_stage

    stage = stage_of("dev", **{"env.SITE_NAME": "Shop", "worker.env.ROWS": "5", "secrets": "PIN"})
    return build_stage(App(context=app.flags()), stage, domains=NO_DOMAINS).service


def test_a_variable_has_one_place_and_a_name_that_is_free(service: "ServiceStack") -> None:
    from constructs import Construct

    from stacks.domains import Domain

    parent = Construct(service, "Domain")
    first, second = (Domain(service, parent, name) for name in ("orders", "carts"))
    first.api.variable("TABLE", "orders")
    first.workers.variable("TABLE", "orders")
    for name, problem in {
        "TABLE": "stacks/domain/orders.py sets it too",
        "SITE_NAME": "stages.toml sets it too, where [local.env] alone may",
        "PIN": "is the name of a secret in stages.toml",
        "BUCKET": "is set by Moorage or AWS; call yours otherwise",
        "table": "a variable is A-Z, 0-9 and _, a letter first, 128 characters at most",
    }.items():
        with pytest.raises(ConfigError) as refused:
            second.both.variable(name, "carts")
        assert refused.value.problems == [f"stacks/domain/carts.py: variable {name}: {problem}"]
    second.api.variable("ROWS", "7")  # stages.toml tells it to workers alone


def test_a_module_without_the_function_is_refused(
    service: "ServiceStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stacks.domains import add_domains

    (tmp_path / "wrong_domains").mkdir()
    (tmp_path / "wrong_domains/shop.py").write_text("def resource(domain): ...")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"domain/shop\.py: has no function resources\(domain\)"):
        add_domains(service, "wrong_domains")
