"""A live stage keeps what CloudFormation cannot replace, whatever of its configuration changes."""

import ipaddress
import itertools
import json
from typing import Any

import pytest

from scripts.preflight.changes import Change, Kind, changes
from scripts.preflight.kept import KEPT, kept, layout_of
from stacks.config.checks import check_stage
from stacks.config.read_stage import read_stage
from stacks.config.stage import CONFIGURABLE
from stacks.config.subnets import LAYOUTS, MOST_ZONES, NARROWEST, WIDEST, place
from stacks.config.values import ConfigError
from tests.conftest import ROOT
from tests.stacks.config.configurations import ACCOUNT, DOMAIN, REGION, VPC, Settings, made
from tests.stacks.templates import CERTIFICATE, Templates

# Each may come and go on a live stage of `dev`, and to and from each other of its group.
FREE: dict[str, list[Settings]] = {
    "door": [{}, {"certificate_arn": CERTIFICATE}, DOMAIN, DOMAIN | {"domain_name": "example.com"}],
    "egress": [
        {},
        {"egress": "nat", "telemetry_collector": True},
        {"egress": "endpoints", "telemetry_endpoint": "https://otlp.example.com:4318"},
    ],
    "spot": [{}, {"worker_spot_percent": 1}, {"worker_spot_percent": 100}],
    "protection": [{}, {"is_protected": True, "first_deploy": True}, {"is_protected": True}],
    "place": [{}, {"region": REGION, "account": ACCOUNT}],
    "exec": [{}, {"enable_exec": False, "operator_policies": True}],
    "firewall": [{}, {"web_firewall": True}, {"web_firewall": True, "web_firewall_requests": 100}],
    "words": [
        {"allow_http": True},
        {"alarm_email": "ops@example.com", "email_from": "hello@example.com",
         "log_retention_days": 365, "runbook_url": "https://example.com/runbook"},
    ],
    "database": [
        {},
        {"database_min_acu": 1, "database_max_acu": 64, "database_backup_days": 35,
         "database_reader": True},
    ],
    "image": [
        {},
        {"image": "ghcr.io/example/shop:1.0", "cpu_architecture": "x86_64", "drain_seconds": 30},
    ],
    "sizes": [
        {"sqs_queue": "jobs"},
        {"api_cpu": 1024, "api_memory_mib": 2048, "api_min_count": 2, "api_max_count": 3,
         "api_desired_count": 2, "api_requests_target": 1, "api_cpu_target_percent": 50,
         "api_pool_size": 2, "api_queue_pool_size": 2, "api_reads_logs": True,
         "worker_cpu": 512, "worker_memory_mib": 1024, "worker_min_count": 0,
         "worker_max_count": 3, "worker_desired_count": 1, "worker_concurrency": 1,
         "worker_queues": "default,mail",
         "worker_jobs_target": 1, "worker_age_target_seconds": 10, "worker_pool_size": 2,
         "worker_queue_pool_size": 2},
    ],
}  # fmt: skip
# A synthesis takes a second, so each of these has one option of every group: two of one group are
# in two of them, because no group has more options than there are configurations.
CONFIGURATIONS: list[Settings] = [
    {key: value for options in FREE.values() for key, value in options[at % len(options)].items()}
    for at in range(max(map(len, FREE.values())))
]
PAIRS = list(itertools.permutations(CONFIGURATIONS, 2))


def between(before: Templates, after: Templates) -> list[Change]:
    return changes(before.stacks, after.stacks, region=REGION, account=ACCOUNT)


def stops(found: list[Change]) -> list[str]:
    """What must not happen: what is refused, and what AWS alone knows."""
    return [str(each) for each in found if each.is_refused or each.kind is Kind.MAY_BE_REPLACED]


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=range(len(PAIRS)))
def test_a_live_stage_takes_the_change(before: Settings, after: Settings) -> None:
    assert stops(between(made("dev", **before), made("dev", **after))) == []


@pytest.mark.parametrize(
    ("stage", "before", "after"),
    [
        ("dev", {}, {"availability_zones": 3}),
        ("dev", {"egress": "nat"}, {"egress": "nat", "availability_zones": 3}),
        ("prod", {}, DOMAIN | {"certificate_arn": "", "egress": "public"}),
        ("prod", {}, {"availability_zones": 3, "egress": "endpoints", "web_firewall": False}),
        ("prod", {"is_protected": False, "database_reader": False}, {}),
        ("prod", {"first_deploy": True}, {}),
        ("local", {}, {"database_tls": True, "worker_spot_percent": 10}),
    ],
    ids=str,
)
def test_a_live_stage_grows(stage: str, before: Settings, after: Settings) -> None:
    assert stops(between(made(stage, **before), made(stage, **after))) == []


@pytest.mark.parametrize(
    ("keys", "before", "after"),
    [
        ({"vpc_cidr"}, {}, {"vpc_cidr": "10.1.0.0/16"}),
        ({"vpc_id"}, {}, VPC),
        ({"vpc_id"}, VPC, {}),
        ({"isolated_subnet_ids"}, VPC,
         VPC | {"isolated_subnet_ids": "subnet-00000005,subnet-00000007"}),
        ({"app_name"}, {"app_name": "shop"}, {"app_name": "store"}),
        ({"availability_zones"}, {"availability_zones": 3}, {}),
        ({"subnet_layout"}, {}, {"subnet_layout": "nat-3"}),
        ({"subnet_layout"}, {"subnet_layout": ""}, {"subnet_layout": "", "egress": "nat"}),
        ({"subnet_layout"}, {"subnet_layout": ""}, {"subnet_layout": "", "availability_zones": 3}),
        ({"use_launch_type"}, {"use_launch_type": True}, {}),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_kept_is_found_with_its_reason_and_way(
    keys: set[str], before: Settings, after: Settings
) -> None:
    found = between(made("dev", **before), made("dev", **after))
    assert stops(found)
    said = {key for row in kept(found) for key in row.keys}
    assert keys <= said


def test_no_key_is_forgotten() -> None:
    tried = {
        key for options in FREE.values() for each in options for key in each
    } | {"availability_zones", "database_tls"}  # fmt: skip
    refused = {key for row in KEPT for key in row.keys}
    of_a_network = {"zone_names", "public_subnet_ids", "private_subnet_ids"}  # they go with vpc_id
    assert set(CONFIGURABLE) == tried | refused | of_a_network
    assert all(row.reason.endswith(".") and row.way.endswith(".") for row in KEPT)
    told = (ROOT / "docs/changing.md").read_text()
    assert [key for row in KEPT for key in row.keys if f"`{key}`" not in told] == []


FIRST_NAME = "moorage"  # of the app in these templates
FIRST: dict[str, Any] = json.loads((ROOT / "tests/stacks/config/first_release.json").read_text())


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_stage_of_the_first_release_takes_this_one(stage: str) -> None:
    """Its templates (commit a30d4a9) as far as they matter: what is created once, and exports."""
    before = FIRST["templates"][stage]
    now = made(stage, app_name=FIRST_NAME)
    found = changes(before, now.stacks, region=REGION, account=ACCOUNT)
    refused = {each.id for each in found if each.is_refused}
    # The changelog has the way for the one, and for the doubt.
    assert refused == ({"DoorBalancerHTTP7662C489"} if stage == "prod" else set())
    assert {row.keys[0] for row in kept(found)} == (
        {"use_launch_type", "certificate_arn"} if stage == "prod" else {"use_launch_type"}
    )
    doubtful = {each.type for each in found if each.kind is Kind.MAY_BE_REPLACED}
    assert doubtful == {
        "AWS::ECS::Service",
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
    }
    now = made(stage, app_name=FIRST_NAME, use_launch_type=True)
    calm = changes(before, now.stacks, region=REGION, account=ACCOUNT)
    assert [each for each in calm if each.kind is Kind.MAY_BE_REPLACED] == []


@pytest.mark.parametrize("layout", FIRST["subnets"])
def test_subnets_lie_where_the_first_release_put_them(layout: str) -> None:
    places = place("10.0.0.0/16", layout)
    for id, block in FIRST["subnets"][layout].items():
        group, zone = id.removeprefix("NetworkVpc").partition("Subnet")[::2]
        assert str(places[group, int(zone[0])]) == block
    resources = {
        id: {"Type": "AWS::EC2::Subnet", "Properties": {"CidrBlock": block}}
        for id, block in FIRST["subnets"][layout].items()
    } | {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}
    found = layout_of({"Resources": resources})
    assert found is not None
    assert place("10.0.0.0/16", found) == places


@pytest.mark.parametrize("prefix", range(WIDEST, NARROWEST + 1))
def test_every_size_has_room_for_every_subnet(prefix: int) -> None:
    for layout in LAYOUTS:
        places = place(f"10.0.0.0/{prefix}", layout)
        assert len(places) == 3 * MOST_ZONES
        for a, b in itertools.combinations(places.values(), 2):
            assert not a.overlaps(b)
        for (group, _), block in places.items():
            assert block.subnet_of(ipaddress.IPv4Network(f"10.0.0.0/{prefix}"))
            assert block.prefixlen <= (27 if group == "Public" else 28)


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ({"vpc_cidr": "10.0.0.0/24"}, True),
        ({"vpc_cidr": "10.0.0.0/24", "api_max_count": 10, "worker_max_count": 10}, False),
        ({"vpc_cidr": "10.0.0.0/22", "egress": "nat", "subnet_layout": ""}, True),
        ({"vpc_cidr": "10.0.0.0/22", "egress": "nat", "availability_zones": 3}, True),
        ({"vpc_cidr": "10.0.0.0/22", "egress": "endpoints", "availability_zones": 3,
          "subnet_layout": "public-3"}, False),
    ],
    ids=str,
)  # fmt: skip
def test_ecs_tasks_have_addresses_or_the_network_is_refused(settings: Settings, fits: bool) -> None:
    wide = {"database_max_acu": 16, "database_min_acu": 1}
    try:
        check_stage(read_stage("dev", wide | settings))
    except ConfigError as error:
        (problem,) = error.problems
        assert problem.startswith("vpc_cidr = ")
        assert not fits
    else:
        assert fits
