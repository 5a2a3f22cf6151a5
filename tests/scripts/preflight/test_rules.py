"""Each rule of `moor preflight` passes on a good account and finds what it is about in another."""

from dataclasses import replace
from typing import Any

import pytest

from scripts.doctor.rule import judge
from scripts.preflight.account import Account, Certificate, Subnet
from scripts.preflight.changes import Change, Kind
from scripts.preflight.rules import ADDRESSES, RULES, SERVICE_ROLES, VCPU, VPCS
from scripts.templates.template import Template
from stacks.config.read_stage import read_stage
from stacks.config.secrets import Secret
from tests.conftest import ROOT
from tests.scripts.prefixes import PROD_PREFIX

ACCOUNT, REGION = "123456789012", "eu-central-1"
GROUP = f"/ecs/{PROD_PREFIX}-api"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/00000000-0000-0000-0000-000000000000"
PROD = read_stage(
    "prod",
    {
        "certificate_arn": CERTIFICATE, "domain_name": "api.example.org", "egress": "nat",
        "hosted_zone_id": "Z1", "hosted_zone_name": "example.org", "email_from": "a@example.org",
        "api_cpu": 512, "api_min_count": 2, "api_max_count": 8,
        "worker_cpu": 256, "worker_min_count": 1, "worker_max_count": 10,
    },
)  # fmt: skip
ONE = {"LogGroup": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": GROUP}}}
UNSURE = Change(Kind.MAY_BE_REPLACED, "service", "Api", "AWS::ECS::Service", False, ("LaunchType",))
REPLACED = Change(Kind.REPLACED, "data", "Cluster", "AWS::RDS::DBCluster", True, ("KmsKeyId",))
GOOD = Account(
    stage=PROD, template=Template({"service": {"Resources": ONE}}), id=ACCOUNT, region=REGION,
    bootstrap_version=31, service_roles=frozenset(SERVICE_ROLES),
    zones=tuple(f"{REGION}{letter}" for letter in "abc"),
    quotas={VCPU: 13, ADDRESSES: 5, VPCS: 5}, addresses=3, vpcs=4, stacks={},
    taken_names=frozenset(), certificate=Certificate(status="ISSUED", names=("example.org",)),
    zone_name="example.org.", sender_is_verified=True, may_mail_anybody=True, image_problem="",
)  # fmt: skip
IMPORTED = replace(
    PROD, vpc_id="vpc-1", zone_names=(f"{REGION}a", f"{REGION}b"), egress="public",
    public_subnet_ids=("subnet-1", "subnet-2"), isolated_subnet_ids=("subnet-3", "subnet-4"),
)  # fmt: skip
THERE = {
    f"subnet-{n}": Subnet(vpc="vpc-1", zone=f"{REGION}{'ab'[(n - 1) % 2]}") for n in range(1, 5)
}


def found(account: Account) -> dict[str, str]:
    """The findings: a rule's id, and what it says."""
    report = judge(RULES, account)
    assert not report.not_checked
    return {finding.id: finding.message for finding in report.findings}


def test_a_good_account_has_no_finding() -> None:
    assert found(GOOD) == {}
    live = replace(
        GOOD, stacks={f"{PROD_PREFIX}-network": "UPDATE_COMPLETE"}, vpcs=5, addresses=5,
        taken_names=frozenset([GROUP]), live_names=frozenset([GROUP]),
    )  # fmt: skip
    assert found(live) == {}, "what is its own is not in its way"
    imported = replace(GOOD, stage=IMPORTED, subnets=THERE, vpcs=9)
    assert found(imported) == {}


ZONE_C = replace(PROD, zone_names=(f"{REGION}c",))
PENDING = Certificate(status="PENDING_VALIDATION", names=())
SECRET = replace(PROD, secrets=(Secret("A", "ssm:/a"),))
NETWORK = PROD.names.network_stack
SICK: list[tuple[str, str, dict[str, Any]]] = [
    ("other-account", "999999999999", {"stage": replace(PROD, account="9" * 12)}),
    ("not-bootstrapped", "never bootstrapped", {"bootstrap_version": 0}),
    ("not-bootstrapped", "version 5, 6 is", {"bootstrap_version": 5}),
    ("service-role-missing", "(ecs.amazonaws.com)", {"service_roles": {*list(SERVICE_ROLES)[1:]}}),
    ("zones-missing", "has 1:", {"zones": (f"{REGION}a",)}),
    ("zones-missing", "no eu-central-1c", {"stage": ZONE_C, "zones": (f"{REGION}a", f"{REGION}b")}),
    ("quota-too-small", "a deploy needs 2.5", {"quotas": {VCPU: 2}}),
    ("quota-too-small", "needs 2, 4 are in use", {"addresses": 4}),
    ("quota-too-small", "VPCs: 5 exist", {"vpcs": 5}),
    ("quota-at-maximum", "needs 13", {"quotas": {VCPU: 6}}),
    ("left-behind", GROUP, {"taken_names": {GROUP}}),
    ("stack-stuck", "first deploy failed", {"stacks": {NETWORK: "ROLLBACK_COMPLETE"}}),
    ("stack-stuck", "a deploy is running", {"stacks": {NETWORK: "UPDATE_IN_PROGRESS"}}),
    ("change-refused", "would be replaced", {"changes": (REPLACED,)}),
    ("change-unsure", "use_launch_type = true", {"changes": (UNSURE,)}),
    ("change-replaces", "replaced", {"changes": (replace(REPLACED, is_refused=False),)}),
    ("certificate-unusable", "PENDING", {"certificate": PENDING}),
    ("certificate-unusable", "not found", {"certificate": replace(PENDING, status="")}),
    ("certificate-unusable", "the stage is in eu-west-1", {"region": "eu-west-1"}),
    ("zone-unusable", "is example.com", {"zone_name": "example.com."}),
    ("zone-unusable", "does not exist", {"zone_name": ""}),
    ("sender-unverified", "a@example.org", {"sender_is_verified": False}),
    ("mail-sandboxed", "sandbox", {"may_mail_anybody": False}),
    ("secret-without-value", "A (ssm:/a) has no", {"stage": SECRET, "no_value": ("A (ssm:/a)",)}),
    ("image-not-buildable", "exec format", {"image_problem": "exec format error"}),
]


@pytest.mark.parametrize(("rule", "said", "given"), SICK)
def test_a_rule_finds_what_it_is_about(rule: str, said: str, given: dict[str, Any]) -> None:
    findings = found(replace(GOOD, **given))
    assert rule in findings
    assert said in findings[rule]
    expected = {rule} | (
        {"quota-at-maximum"} if rule == "quota-too-small" and "quotas" in given else set()
    )
    assert findings.keys() == expected


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ("there is no subnet-1", {}),
        ("is in vpc-2", THERE | {"subnet-1": Subnet(vpc="vpc-2", zone=f"{REGION}a")}),
        ("is in eu-central-1c", THERE | {"subnet-1": Subnet(vpc="vpc-1", zone=f"{REGION}c")}),
    ],
)
def test_a_wrong_subnet_of_an_imported_vpc_is_named(said: str, there: dict[str, Subnet]) -> None:
    imported = replace(GOOD, stage=IMPORTED, subnets=there)
    report = judge(RULES, imported)
    assert {finding.id for finding in report.findings} == {"vpc-differs"}
    assert any(said in finding.message for finding in report.findings)


def test_what_could_not_be_seen_is_said_and_never_passed() -> None:
    report = judge(RULES, replace(GOOD, zones=None, unread={"zones": "you may not ask"}))
    assert report.not_checked == {"zones-missing": "you may not ask"}
    assert "zones-missing" not in report.passed


def test_each_rule_stands_on_the_page_of_the_first_deploy() -> None:
    page = (ROOT / "docs/first-deploy.md").read_text("utf-8")
    assert [rule.id for rule in RULES if f"`{rule.id}`" not in page] == []
