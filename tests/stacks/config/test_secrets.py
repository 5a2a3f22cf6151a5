"""A project's own secrets: read for a stage, and given to the containers they are for."""

from pathlib import Path
from typing import Any

import pytest

from scripts.cost.estimate import estimate
from scripts.cost.prices import read_prices
from scripts.doctor.permissions import SUFFIX, may_read
from scripts.doctor.readers import read_role
from scripts.templates.template import Template, read_template
from service.contract import EnvVar, ProcessName
from stacks.config.checks import check_stage
from stacks.config.naming import Names
from stacks.config.read_stage import explain_stage, read_stage
from stacks.config.secrets import secrets_of
from stacks.config.values import ConfigError
from stacks.config.variables import INSTEAD
from tests.stacks.config.configurations import of_a_project
from tests.stacks.rules.task_definitions import containers

FILE = """
app_name = "shop"
secrets = ["STRIPE_KEY"]
[worker]
secrets = ["SMTP"]
[prod.secrets]
STRIPE_KEY = "secretsmanager:shared/stripe#key"
[prod.worker.secrets]
SMTP = "ssm:/shared/smtp"
MAPS = ""
[staging]
extends = "prod"
secrets = ["STRIPE_KEY"]
"""
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:team/maps-AbCdEf"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "stages.toml").write_text(FILE)
    return tmp_path / "stages.toml"


def places(stage: str, process: ProcessName, file: Path, **given: object) -> dict[str, str]:
    found = read_stage(stage, given, file=file)
    return {
        name: str(each.place(found.names))
        for name, each in secrets_of(found.secrets, process).items()
    }


@pytest.mark.parametrize(
    ("stage", "both", "worker"),
    [
        ("local", "secretsmanager:shop/local/STRIPE_KEY",
         {"SMTP": "secretsmanager:shop/local/SMTP"}),
        ("prod", "secretsmanager:shared/stripe#key",
         {"SMTP": "ssm:/shared/smtp", "MAPS": "secretsmanager:shop/prod/MAPS"}),
        ("staging", "secretsmanager:shop/staging/STRIPE_KEY",
         {"SMTP": "ssm:/shared/smtp", "MAPS": "secretsmanager:shop/staging/MAPS"}),
    ],
)  # fmt: skip
def test_each_process_is_given_what_is_closest_to_it(
    stage: str, both: str, worker: dict[str, str], file: Path
) -> None:
    assert places(stage, ProcessName.API, file) == {"STRIPE_KEY": both}
    assert places(stage, ProcessName.WORKER, file) == {"STRIPE_KEY": both} | worker


def test_one_deploy_may_have_another_place(file: Path) -> None:
    given: dict[str, object] = {
        "secrets.STRIPE_KEY": f"{ARN}#pw", "worker.secrets": "NEW_ONE, SMTP",
    }  # fmt: skip
    assert places("prod", ProcessName.API, file, **given) == {"STRIPE_KEY": f"{ARN}#pw"}
    worker = places("prod", ProcessName.WORKER, file, **given)
    assert (worker["NEW_ONE"], worker["SMTP"]) == (
        "secretsmanager:shop/prod/NEW_ONE", "secretsmanager:shop/prod/SMTP",
    )  # fmt: skip
    assert explain_stage("prod", given, file=file)[1]["secrets.STRIPE_KEY"].table == "-c"


CANARY = "sk_live_51CanaryCanary"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *(
            (f'secrets = ["{name}"]', f"secrets.{name}: is set by Moorage or AWS")
            for name in EnvVar
            if name not in INSTEAD
        ),
        ('secrets = ["AWS_KEY"]', "is set by Moorage or AWS"),
        ('secrets = ["stripe"]', "secrets.stripe: a variable is A-Z"),
        ('secrets = ["A", "A"]', "stands twice in [dev]"),
        (f'secrets = "{CANARY}"', "allowed is a list of names"),
        ("secrets = [1]", "allowed is a list of names"),
        ("secrets = {}\nworker.secrets = 3", "worker.secrets: allowed is a list of names"),
        (f'secrets.A = "{CANARY}"', "secrets.A: allowed is secretsmanager:NAME"),
        ("secrets.A = 3", "secrets.A: allowed is secretsmanager:NAME"),
        (f'secrets.A = "ssm:/a#{CANARY}"', "secrets.A: allowed is"),
        ('secrets.A = "secretsmanager:"', "secrets.A: allowed is"),
        ('secrets.A = "secretsmanager:a b"', "secrets.A: allowed is"),
        ('secrets.A = "secretsmanager:a#x:y"', "secrets.A: allowed is"),
        (f'secrets.A = "{ARN[:-7]}"', "secrets.A: allowed is"),
        ('secrets.A = "secretsmanager:team-secret#x"', "hyphen and six characters"),
        ('secrets = ["A"]\nenv.A = "x"', "secrets.A: is in env, too"),
        ('worker.secrets = ["A"]\nenv.A = "x"', "worker.secrets.A: is in env, too"),
        ('network.secrets = ["A"]', "network.secrets: no such key"),
        ('secret = ["A"]', "secret: no such key; did you mean secrets?"),
    ],
)
def test_a_wrong_secret_is_named_and_what_may_be_a_value_is_not(
    text: str, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "stages.toml"
    file.write_text(f"[dev]\n{text}\n")
    with pytest.raises(ConfigError) as refused:
        read_stage("dev", file=file)
    assert says in str(refused.value)
    assert CANARY not in str(refused.value)


def test_more_than_a_role_s_policy_can_name_are_refused() -> None:
    given: dict[str, object] = {"allow_http": True}
    check_stage(read_stage("dev", given | {"secrets": [f"KEY_{n}" for n in range(35)]}))
    many = {f"secrets.KEY_{n}": f"secretsmanager:shared/key{n}" for n in range(35)}
    with pytest.raises(ConfigError, match="the api has 35, more than the policy"):
        check_stage(read_stage("dev", given | many))


def test_every_place_is_read_as_it_is_shown() -> None:
    for shown in ("secretsmanager:a/b", "secretsmanager:a/b#c", "ssm:/a/b", ARN, f"{ARN}#x"):
        (secret,) = read_stage("dev", {"secrets.A": shown}).secrets
        assert str(secret.place(Names("shop", "dev"))) == shown


def given_to(container: str) -> dict[str, str]:
    """By variable, what ECS reads, with the words of a template for what a deploy knows."""
    return {
        each["Name"]: each["ValueFrom"]
        for definition in project().all("AWS::ECS::TaskDefinition")
        for one in definition.properties["ContainerDefinitions"]
        if one["Name"] == container
        for each in one.get("Secrets", ())
        if each["Name"] not in set(EnvVar)
    }


def project() -> Template:
    return read_template(of_a_project().folder)


HERE = "AWS::Region:AWS::AccountId"


def test_containers_are_given_arns_that_ecs_finds_and_migrate_nothing() -> None:
    manager = f"arn:AWS::Partition:secretsmanager:{HERE}:secret:"
    both = {
        "STRIPE_KEY": f"{manager}{of_a_project().stage.app_name}/dev/STRIPE_KEY",
        "MAPS_KEY": f"{manager}shared/maps:key::",
    }
    assert given_to("worker") == both | {
        "SMTP_PASSWORD": f"arn:AWS::Partition:ssm:{HERE}:parameter/shared/smtp",
    }
    assert given_to("api") == both | {
        "TEAM_KEY": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:team-AbCdEf:pw::"
    }
    assert given_to("migrate") == {}
    for container in containers(of_a_project()):
        plain = {each["Name"] for each in container["Environment"]}
        assert not plain & {"STRIPE_KEY", "MAPS_KEY", "TEAM_KEY", "SMTP_PASSWORD"}


def statements(role: str) -> list[dict[str, Any]]:
    (policy,) = (
        each
        for each in project().all("AWS::IAM::ManagedPolicy")
        if each.name.partition("/")[2].startswith(f"{role}RolesExecutionPolicy")
    )
    found: list[dict[str, Any]] = policy.properties["PolicyDocument"]["Statement"]
    return found


def test_the_execution_role_may_read_exactly_these() -> None:
    for process, other in (("Api", "worker"), ("Worker", "api")):
        found = statements(process)
        role = read_role(process, [{"Statement": found}])
        own, others = given_to(process.lower()), given_to(other)
        assert [name for name, value in own.items() if not may_read(role, value)] == []
        assert [name for name in others.keys() - own if may_read(role, others[name])] == []
        sids = ("ReadOwnSecrets", "ReadOwnParameters")
        (named, *more) = (each["Resource"] for each in found if each.get("Sid") in sids)
        assert all(each.endswith(SUFFIX) or each.endswith("-AbCdEf") for each in named)
        assert not [each for each in [*named, *more] if "*" in each]


def test_a_key_of_somebody_else_may_be_used_for_that_secret_alone() -> None:
    for process in ("Api", "Worker"):
        keys = [
            each for each in statements(process) if each.get("Sid", "").startswith("DecryptOwn")
        ]
        for each in keys:
            (condition,) = each["Condition"].values()
            context = next(value for key, value in condition.items() if "EncryptionContext" in key)
            assert f"/dev/STRIPE_KEY{SUFFIX}" not in str(context)  # by AWS's own key
            assert "*" not in str(condition)
            assert each["Action"] == "kms:Decrypt"
        assert len(keys) == {"Api": 1, "Worker": 2}[process]


def test_parameters_have_an_endpoint_where_nothing_else_leads_to_aws() -> None:
    endpoints = project().all("AWS::EC2::VPCEndpoint")
    assert any(".ssm" in str(each.properties["ServiceName"]) for each in endpoints)


def test_what_moor_keeps_is_in_the_estimate_and_what_others_keep_is_not() -> None:
    made = len(project().all("AWS::SecretsManager::Secret"))
    items = [item.what for item in estimate(project(), read_prices()).items]
    assert f"{made + 1 + 1} × secret" in items  # RDS keeps one
