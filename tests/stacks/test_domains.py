"""A module in the folder of the domains is found by name; one that says nothing is refused."""

from pathlib import Path

import pytest

from stacks.config.read_stage import read_stage
from stacks.domains import endpoints, lifecycle_rules

SHOP = """
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_s3 as s3

def endpoints(stage):
    return {"Sns": ec2.InterfaceVpcEndpointAwsService.SNS}

def lifecycle_rules(stage):
    return [s3.LifecycleRule(prefix=f"{stage.stage}/receipts/")]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an empty package of domains, of this test alone."""
    name = f"domains_of_{tmp_path.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_what_modules_say_is_found(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "shop.py").write_text(SHOP)
    stage = read_stage("dev", {})
    assert endpoints(stage, package).keys() == {"Sns"}
    assert [rule.prefix for rule in lifecycle_rules(stage, package)] == ["dev/receipts/"]


def test_no_domain_is_no_error(package: str) -> None:
    assert endpoints(read_stage("dev", {}), package) == {}
    assert lifecycle_rules(read_stage("dev", {}), "no_such_package") == []


def test_a_module_with_none_of_the_functions_is_refused(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "shop.py").write_text("def endpoint(stage): ...")
    with pytest.raises(AttributeError, match=r"shop\.py has none of endpoints, lifecycle_rules"):
        endpoints(read_stage("dev", {}), package)
