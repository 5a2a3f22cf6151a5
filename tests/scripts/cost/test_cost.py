"""What a stage costs in a month, from its template and a dated price table."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.cli import main
from scripts.cost.estimate import Estimate, estimate
from scripts.cost.prices import read_prices
from scripts.templates.template import Template, read_template
from tests.generated import COMMAND, written
from tests.scripts.cost.cost_of_dev import sentence
from tests.stacks.templates import of_stage, synthesize

PRICES = read_prices()


def of(**resources: dict[str, Any]) -> Estimate:
    return estimate(Template({"app": {"Resources": resources}}), PRICES)


def worker(**properties: Any) -> dict[str, dict[str, Any]]:
    """One ECS service on Fargate: 1 vCPU, 2 GB."""
    definition = {"Cpu": "1024", "Memory": "2048", **properties.pop("definition", {})}
    service = {"TaskDefinition": {"Ref": "Definition"}, "ServiceName": "worker", **properties}
    return {
        "Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": definition},
        "Service": {"Type": "AWS::ECS::Service", "Properties": service},
    }


def bounds(least: int, most: int) -> dict[str, dict[str, Any]]:
    return {
        "Bounds": {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "Properties": {
                "ResourceId": "service/cluster/worker",
                "MinCapacity": least,
                "MaxCapacity": most,
            },
        }
    }


X86_MONTH = 730 * (0.04048 + 2 * 0.004445)
ARM_MONTH = 730 * (0.03238 + 2 * 0.00356)


def first(found: Estimate) -> tuple[float, float]:
    return found.items[0].at_rest, found.items[0].at_most


def test_fargate_costs_by_size_and_architecture() -> None:
    assert first(of(**worker())) == pytest.approx((X86_MONTH, X86_MONTH))
    arm = {"RuntimePlatform": {"CpuArchitecture": "ARM64"}}
    assert first(of(**worker(definition=arm))) == pytest.approx((ARM_MONTH, ARM_MONTH))


def test_the_bounds_are_the_autoscalers() -> None:
    assert first(of(**worker(DesiredCount=9), **bounds(2, 5))) == pytest.approx(
        (2 * X86_MONTH, 5 * X86_MONTH)
    )
    assert first(of(**worker(DesiredCount=3))) == pytest.approx((3 * X86_MONTH, 3 * X86_MONTH))


def test_spot_is_cheaper_and_only_above_its_base() -> None:
    strategy = [
        {"CapacityProvider": "FARGATE", "Base": 2, "Weight": 25},
        {"CapacityProvider": "FARGATE_SPOT", "Weight": 75},
    ]
    found = of(**worker(CapacityProviderStrategy=strategy), **bounds(2, 6))
    # of the four above the base three run on Spot, at 30 % of the price
    assert first(found) == pytest.approx((2 * X86_MONTH, (3 + 3 * 0.3) * X86_MONTH))
    assert "75% of the further ones on Spot" in found.items[0].what


def test_the_database_costs_its_capacity_for_each_instance() -> None:
    instance = {
        "Type": "AWS::RDS::DBInstance",
        "Properties": {"DBClusterIdentifier": {"Ref": "C"}, "DBInstanceClass": "db.serverless"},
    }
    cluster = {
        "Type": "AWS::RDS::DBCluster",
        "Properties": {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4}},
    }
    assert first(of(C=cluster, W=instance, R=instance)) == pytest.approx(
        (2 * 0.5 * 0.12 * 730, 2 * 4 * 0.12 * 730)
    )


def test_an_alarm_on_an_expression_costs_each_of_its_metrics() -> None:
    plain = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "x"}}
    metrics = [
        {"Expression": "a - b"},
        {"Id": "a", "MetricStat": {}},
        {"Id": "b", "MetricStat": {}},
    ]
    math = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": metrics}}
    found = of(A=plain, B=math)
    assert found.items[0].what == "3 × metric with an alarm"
    assert found.at_rest == pytest.approx(0.30)


def test_container_insights_costs_its_metrics_while_something_runs() -> None:
    setting = {"Name": "containerInsights", "Value": "enabled"}
    cluster = {"C": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterSettings": [setting]}}}

    def cost(found: Estimate) -> tuple[float, float]:
        items = [item for item in found.items if "Container Insights" in item.what]
        return sum(item.at_rest for item in items), sum(item.at_most for item in items)

    whole = (12 + 15 + 10) * 0.30
    assert cost(of(**worker(), **cluster)) == pytest.approx((whole, whole))
    assert cost(of(**worker(), **bounds(0, 4), **cluster)) == pytest.approx((0, whole))
    assert cost(of(**worker())) == (0, 0)


@pytest.mark.parametrize(
    ("cluster", "instance", "named"),
    [
        ({}, {"EnablePerformanceInsights": True}, "because Performance Insights query"),
        ({"MonitoringInterval": 60}, {}, "enhanced monitoring query"),
        ({}, {"MonitoringInterval": 60}, "enhanced monitoring query"),
        ({"EnableCloudwatchLogsExports": ["postgresql"]}, {}, "log export query"),
        ({"MonitoringInterval": 0}, {"EnablePerformanceInsights": False}, ""),
    ],
)
def test_what_may_keep_a_database_above_its_minimum_is_named(
    cluster: dict[str, Any], instance: dict[str, Any], named: str
) -> None:
    scaling = {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4}}
    found = of(
        C={"Type": "AWS::RDS::DBCluster", "Properties": scaling | cluster},
        W={"Type": "AWS::RDS::DBInstance", "Properties": instance},
    )
    notes = [note for note in found.by_use if note.startswith("Aurora above its minimum of 0.5")]
    assert bool(notes) is bool(named)
    assert all(named in note and "43.80 USD a month" in note for note in notes)


def test_a_type_without_a_price_is_named() -> None:
    found = of(A={"Type": "AWS::Redshift::Cluster"}, B={"Type": "AWS::EC2::VPC"})
    assert found.unknown == ("AWS::Redshift::Cluster",)
    assert found.at_rest == 0


@pytest.mark.parametrize(
    ("type", "properties", "named"),
    [
        ("AWS::RDS::DBInstance", {"DBInstanceClass": "db.t4g.medium"}, "that is not serverless"),
        ("AWS::RDS::DBInstance", {"DBInstanceClass": {"Ref": "Class"}}, "that is not serverless"),
        ("AWS::RDS::DBInstance", {"DBInstanceClass": "db.serverless"}, "whose capacity is in no"),
        ("AWS::RDS::DBCluster", {"DBClusterInstanceClass": "db.m6gd.large"}, "not serverless"),
        ("AWS::ECS::Service", {"TaskDefinition": {"Ref": "NoneHere"}}, "that is not on Fargate"),
        ("AWS::ECS::Service", {}, "that is not on Fargate"),
        ("AWS::EC2::VPCEndpoint", {"VpcEndpointType": "GatewayLoadBalancer"}, "of another type"),
        ("AWS::EC2::VPCEndpoint", {"VpcEndpointType": "Interface", "SubnetIds": {
            "Fn::Split": [",", {"Ref": "Subnets"}]}}, "whose subnets are in no template"),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", {"Type": "gateway", "Subnets": ["a"]},
         "of type gateway"),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", {"Subnets": {"Ref": "List"}}, "subnets"),
        ("AWS::WAFv2::WebACL", {"Rules": {"Fn::If": ["A", [], []]}}, "whose rules are in no"),
        ("AWS::DynamoDB::Table", {"ProvisionedThroughput": {}}, "with provisioned capacity"),
    ],
)  # fmt: skip
def test_what_has_no_price_of_a_type_that_has_one_is_named(
    type: str, properties: dict[str, Any], named: str
) -> None:
    found = of(A={"Type": type, "Properties": properties})
    assert len(found.unknown) == 1
    assert found.unknown[0].startswith(type)
    assert named in found.unknown[0]
    assert found.at_rest < 100


@pytest.mark.parametrize(
    "changed",
    [
        {"DesiredCount": {"Ref": "Count"}},
        {"LaunchType": "EC2"},
        {"CapacityProviderStrategy": [{"CapacityProvider": {"Ref": "Machines"}, "Weight": 1}]},
        {"definition": {"Cpu": {"Ref": "Cpu"}}},
        {"definition": {"Cpu": None}},
    ],
)
def test_an_ecs_service_of_unknown_size_is_named_and_stops_nothing(changed: dict[str, Any]) -> None:
    found = of(**worker(**changed), Key={"Type": "AWS::KMS::Key"})
    said = [item.what for item in found.items]
    assert "1 × encryption key" in said
    assert not any("vCPU" in what for what in said)
    assert found.unknown[0].startswith("AWS::ECS::Service that is not on Fargate")


def test_functions_and_custom_resources_of_a_domain_are_not_those_of_the_stage_itself() -> None:
    function, custom = {"Type": "AWS::Lambda::Function"}, {"Type": "Custom::Cluster"}
    assert of(Mine=function, AndMine=custom).unknown == ()
    found = of(DomaincartsTotals=function, DomaincartsSearch=custom)
    assert "1 function of Lambda: 0.2 USD per million calls" in "\n".join(found.by_use)
    assert found.unknown == ("Custom::Cluster",)


@pytest.mark.parametrize("stage", ["dev", "prod", "local"])
def test_everything_in_our_stages_has_a_price_or_none(stage: str) -> None:
    found = estimate(read_template(of_stage(stage).folder), PRICES)
    assert found.unknown == ()
    assert [item.at_rest for item in found.items] == sorted(
        (item.at_rest for item in found.items), reverse=True
    )


def test_the_readme_says_what_dev_costs_today() -> None:
    assert written("README.md") == sentence(), COMMAND


def test_every_price_says_where_it_is_from() -> None:
    for key, price in PRICES.by_key.items():
        assert price.usd > 0, key
        assert price.page.startswith("https://aws.amazon.com/"), key
        assert bool(price.read_at) == bool(price.as_of), key


def test_a_price_without_a_source_is_marked() -> None:
    unchecked = {key for key, price in PRICES.by_key.items() if not price.read_at}
    assert set(of().unchecked) == unchecked


def test_the_command_synthesizes_what_it_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--stage", "prod"]) == 0, "it has no certificate yet, and costs the same"
    assert "in all" in capsys.readouterr().out.splitlines()[-1]


def test_the_command_prints_the_sum_and_what_is_not_in_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage = synthesize(
        "prod", egress="nat", database_reader=True, database_min_acu=1, database_max_acu=8
    )
    command = ["cost", "--stage", "prod", "--template", str(stage.folder)]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].rstrip().endswith("Aurora, 2 × 1 to 8 ACU")
    assert "in all" in out.splitlines()[-1]
    assert "metrics of the cluster and its ECS services" in out
    assert f"looked up on {PRICES.checked}" in err
    for named in (
        "Aurora above its minimum of 1 ACU, because Performance Insights, enhanced monitoring, ",
        "NAT gateways: 0.045 USD per GB", "calls of KMS", "flow logs", "between zones",
    ):  # fmt: skip
        assert named in err

    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["at_rest"] == pytest.approx(sum(item["at_rest"] for item in found["items"]))


@pytest.mark.parametrize("words", [[], ["--stage", "local"]])
def test_the_local_stage_costs_nothing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cost", *words]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Stage local runs on this machine and costs nothing; ")
    assert main(["cost", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"items": [], "at_rest": 0, "at_most": 0}


def test_a_stage_that_is_not_synthesized_is_said_with_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cost", "--template", str(tmp_path)]) == 3
    assert "make synth" in capsys.readouterr().err
