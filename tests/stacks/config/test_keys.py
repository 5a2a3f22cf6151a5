"""Every key of stages.toml, beside each other one, gives templates that cdk-nag passes."""

import pytest

from stacks.config.read_stage import read_stage
from stacks.config.stage import CONFIGURABLE, RETENTION_DAYS
from stacks.config.values import ConfigError
from tests.stacks.config.configurations import Settings, groups, rows
from tests.stacks.templates import synthesize

ROWS = rows()


def test_no_key_is_forgotten() -> None:
    tried = {key for options in groups().values() for each in options for key in each}
    assert set(CONFIGURABLE) - tried == {"database_tls"}  # which stages that are deployed need
    for key, field in CONFIGURABLE.items():
        if field.metadata["kind"] in ("text", "names", "network"):
            assert field.metadata["example"], key
            assert read_stage("dev", {key: field.metadata["example"]})


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_values_that_meet_synthesize(row: Settings) -> None:
    # `synthesize` raises on what the checks refuse, and on a finding of cdk-nag without a reason.
    templates = synthesize("dev", **({"allow_http": False} | row))
    assert set(templates.stacks) == {"network", "data", "service"}


def test_each_retention_is_one_that_the_cdk_has() -> None:
    from stacks.stage_stack import RETENTION

    assert set(RETENTION) == set(RETENTION_DAYS)
    assert {day.name for day in RETENTION.values()} > {"ONE_DAY", "NINE_YEARS", "TEN_YEARS"}


WRONG: dict[str, list[object]] = {
    "app_name": ["shop-", "sh--op", "-shop", "Shop", "1shop", "shop_1", "s" * 21, "shop\n", "é"],
    "account": ["12345678901", "1234567890123", "12345678901a"],
    "region": ["eu-west", "EU-WEST-1", "eu_west_1", "eu-west-1a"],
    "alarm_email": ["a", "a@b", "@example.com", "a@.com", "a b@example.com", "a@example..com",
                    ".a@example.com", "a..b@example.com", "a@-example.com", "Ada <a@example.com>",
                    "a@example.com,b@example.com", "a@" + "b" * 250 + ".com"],
    "email_from": ["a@b", "a@exam_ple.com", "a@example.c", "a" * 65 + "@example.com"],
    "runbook_url": ["a page", "x" * 501],
    "vpc_id": ["vpc-1", "vpc-0123456789ABCDEF0", "subnet-00000001"],
    "vpc_cidr": ["10.0.0.5/16", "10.0.0.0/15", "10.0.0.0/25", "8.8.0.0/16", "172.32.0.0/16",
                 "10.0.0.0", "10.0.0/16", "300.0.0.0/16", "fd00::/16", "192.168.0.0/15", 16],
    "subnet_layout": ["public", "public-4", "vpn-2"],
    "zone_names": ["eu-central-1", "a", "eu-central-1aa"],
    "public_subnet_ids": ["subnet-1", "vpc-00000001"],
    "certificate_arn": ["arn:aws:iam::123456789012:server-certificate/x",
                        "arn:aws:acm:eu-central-1:123456789012:certificate/1"],
    "domain_name": ["example", "-a.example.com", "a-.example.com", "a..example.com",
                    "A.example.com", "a.example.com.", "*.example.com", "a_b.example.com",
                    "a" * 55 + ".example.com", "a" * 64 + ".example.com"],
    "hosted_zone_id": ["0123", "Z" + "A" * 32, "/hostedzone/Z1"],
    "hosted_zone_name": ["example.com.", "com"],
    "image": ["my shop", "Shop:1", "shop:", "shop:a b", "shop@sha256:abc", "https://x/y",
              "a" * 256],
    "sqs_queue": ["a b", "q" * 81, "https://sqs.eu-central-1.amazonaws.com/1/jobs"],
    "log_retention_days": [0, 2, 31, 366],
    "web_firewall_requests": [9, 2_000_000_001],
    "database_max_acu": ["nan", "inf", 257, 0.5],
    "availability_zones": [1, 4],
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_what_aws_would_refuse_is_refused_by_its_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as raised:
        read_stage("dev", {key: value})
    (problem,) = raised.value.problems
    assert problem.startswith(f"{key} = {value!r}: allowed is ")


RIGHT: dict[str, list[object]] = {
    "app_name": ["a", "shop", "my-shop-2", "s" * 20],
    "region": ["us-east-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1", "ap-southeast-3"],
    "alarm_email": ["ops+moorage@mail.example.co.uk", "o'neil@example.com", "A.B@Example.com"],
    "vpc_cidr": ["10.0.0.0/16", "172.31.0.0/20", "192.168.4.0/24", "100.64.0.0/16"],
    "domain_name": ["example.com", "a-b.c.example.com", "xn--bcher-kva.example",
                    "api.xn--80ak6aa92e.xn--p1ai"],
    "image": ["shop", "shop:1.0", "localhost:5000/shop", "ghcr.io/a/b-c_d/e:V1",
              "public.ecr.aws/docker/library/python@sha256:" + "0" * 64,
              "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop:1@sha256:" + "a" * 64],
    "log_retention_days": [2192, 2557, 2922, 3288, "3653"],
    "sqs_queue": ["jobs", "a_b-C.fifo"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in RIGHT.items() for value in values]
)
def test_what_aws_takes_is_taken(key: str, value: object) -> None:
    assert str(getattr(read_stage("dev", {key: value}), key)) == str(value)
