"""The role of a pipeline: who may assume it, and what it may do."""

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.config.pipeline import QUALIFIER_KEY, ROLE_OUTPUT, read_pipeline
from stacks.config.read_stage import read_stage
from stacks.config.values import ConfigError
from tests.stacks.pipeline_template import pipeline_template

STAGE = "prod"
NAMES = read_stage(STAGE).names


def one(made: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = (each["Properties"] for each in made["Resources"].values() if each["Type"] == kind)
    assert isinstance(found, dict)
    return found


def trust(made: dict[str, Any]) -> dict[str, Any]:
    (statement,) = one(made, "AWS::IAM::Role")["AssumeRolePolicyDocument"]["Statement"]
    assert isinstance(statement, dict)
    return statement


def arns(made: dict[str, Any]) -> list[str]:
    """Those of the one statement of the role's policy, as of an account and region."""
    (statement,) = one(made, "AWS::IAM::ManagedPolicy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRole"
    assert "Condition" not in statement
    deployed_to = {"AWS::Partition": "aws", "AWS::AccountId": "1234", "AWS::Region": "eu-west-1"}

    def text(value: Any) -> str:
        return value if isinstance(value, str) else deployed_to[value["Ref"]]

    return ["".join(map(text, each["Fn::Join"][1])) for each in statement["Resource"]]


@pytest.fixture(scope="module")
def of_github(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return pipeline_template(tmp_path_factory.mktemp("github"), STAGE, github="acme@12/shop@34")


def test_one_environment_of_one_repository_may_assume_it(of_github: dict[str, Any]) -> None:
    issuer = "token.actions.githubusercontent.com"
    statement = trust(of_github)
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert list(statement["Principal"]) == ["Federated"]
    # Compared letter by letter: StringLike would take a star for any repository.
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": f"repo:acme@12/shop@34:environment:{STAGE}",
        }
    }
    provider = one(of_github, "AWS::IAM::OIDCProvider")
    assert provider["Url"] == f"https://{issuer}"
    assert provider["ClientIdList"] == ["sts.amazonaws.com"]


def test_it_may_assume_the_bootstrap_roles_of_its_account_and_region_alone(
    of_github: dict[str, Any],
) -> None:
    kinds = ("deploy", "file-publishing", "image-publishing", "lookup")
    assert arns(of_github) == [
        f"arn:aws:iam::1234:role/cdk-hnb659fds-{kind}-role-1234-eu-west-1" for kind in kinds
    ]
    policies = [
        each for each in of_github["Resources"].values() if "Policy" in each["Type"].split("::")[-1]
    ]
    assert len(policies) == 1
    assert not {"Policies", "ManagedPolicyArns"} & set(one(of_github, "AWS::IAM::Role"))


def test_the_provider_stays_when_the_stack_goes(of_github: dict[str, Any]) -> None:
    (provider,) = (
        each for each in of_github["Resources"].values() if each["Type"] == "AWS::IAM::OIDCProvider"
    )
    assert provider["DeletionPolicy"].startswith("Retain")


def test_gitlab_s_branch_with_the_account_s_own_provider_and_another_qualifier(
    tmp_path: Path,
) -> None:
    made = pipeline_template(
        tmp_path, STAGE, gitlab="acme/team/shop", gitlab_host="git.example.com", branch="trunk",
        provider="existing", **{QUALIFIER_KEY: "shop"},
    )  # fmt: skip

    statement = trust(made)
    assert statement["Condition"] == {
        "StringEquals": {
            "git.example.com:aud": "https://git.example.com",
            "git.example.com:sub": "project_path:acme/team/shop:ref_type:branch:ref:trunk",
        }
    }
    assert "AWS::IAM::OIDCProvider" not in {each["Type"] for each in made["Resources"].values()}
    assert json.dumps(statement["Principal"]).endswith(':oidc-provider/git.example.com"]]}}')
    assert all("role/cdk-shop-" in arn for arn in arns(made))


def test_the_role_is_the_output(of_github: dict[str, Any]) -> None:
    assert set(of_github["Outputs"]) == {ROLE_OUTPUT}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "one of the two"),
        ({"github": "a/b", "gitlab": "a/b"}, "one of the two"),
        ({"github": "acme/*"}, "allowed is acme/shop"),
        ({"github": "acme/shop:environment:dev"}, "allowed is acme/shop"),
        ({"github": "acme@1/shop"}, "both have an id"),
        ({"github": "acme/shop", "branch": "main"}, "branch: is for GitLab"),
        ({"gitlab": "shop"}, "gitlab = 'shop'"),
        ({"gitlab": "acme/shop", "branch": "ma?n"}, "branch = 'ma?n'"),
        ({"gitlab": "acme/shop", "provider": "old"}, "new, or existing"),
        ({"github": "acme/shop", "git_hub": "x"}, "did you mean"),
        ({"github": "acme/shop", QUALIFIER_KEY: "a*"}, QUALIFIER_KEY),
    ],
)
def test_what_would_let_others_in_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_pipeline(STAGE, given)
    assert says in str(raised.value)
