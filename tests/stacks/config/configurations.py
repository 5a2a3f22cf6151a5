"""Values for every key of stages.toml, in groups of keys that go together."""

import functools
from typing import Any

from stacks.config.stage import CONFIGURABLE
from tests.stacks.templates import CERTIFICATE, Templates, synthesize

Settings = dict[str, object]
Value = tuple[str, int]  # a group and the place of one of its options

REGION, ACCOUNT = CERTIFICATE.split(":")[3:5]
DOMAIN: Settings = {
    "domain_name": "api.example.com",
    "hosted_zone_name": "example.com",
    "hosted_zone_id": "Z0123456789",
}
VPC: Settings = {
    "vpc_id": "vpc-0123456789abcdef0",
    "zone_names": f"{REGION}a,{REGION}b",
    "public_subnet_ids": "subnet-00000001,subnet-00000002",
    "private_subnet_ids": "subnet-00000003,subnet-00000004",
    "isolated_subnet_ids": "subnet-00000005,subnet-00000006",
}

# Of keys that only fit together, or whose values no rule of theirs can make up.
GROUPS: dict[str, list[Settings]] = {
    "door": [{"allow_http": True}, {"certificate_arn": CERTIFICATE}, DOMAIN],
    "vpc": [{}, VPC],
    "vpc_cidr": [{"vpc_cidr": block} for block in ("10.0.0.0/16", "192.168.8.0/22")],
    "counts": [
        {},
        {"api_min_count": 0, "worker_min_count": 0, "worker_desired_count": 0},
        {"api_max_count": 8, "api_desired_count": 2, "worker_max_count": 10,
         "worker_desired_count": 3},
    ],
    "api_size": [{}, {"api_cpu": 1024, "api_memory_mib": 4096}],
    "worker_size": [{}, {"worker_cpu": 16384, "worker_memory_mib": 122880}],
    "acu": [
        {"database_min_acu": 1, "database_max_acu": 32},
        {"database_min_acu": 4, "database_max_acu": 256},
    ],
    "egress": [
        {"egress": "public", "telemetry_collector": True},
        {"egress": "nat"},
        {"egress": "endpoints", "telemetry_endpoint": "https://otlp.example.com:4318"},
    ],
    "app_name": [{}, {"app_name": "a1-b2-c3d4e5f6g7h8i9"}],
    "account": [{}, {"account": ACCOUNT}],
    "region": [{}, {"region": REGION}],
    "image": [{}, {"image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/team/shop:v1.2"}],
    "carrier": [
        {"worker_queues": "default=3,mail=1"}, {"sqs_queue": "jobs"}, {"sqs_queue": "jobs.fifo"},
    ],
    "database_tls": [{}],  # off in stage local alone
}  # fmt: skip


def groups() -> dict[str, list[Settings]]:
    """Those above, and a group of its own for each other key, by the rule that it has."""
    grouped = {key for options in GROUPS.values() for each in options for key in each}
    found = dict(GROUPS)
    for key, field in CONFIGURABLE.items():
        if key not in grouped and key not in found:
            found[key] = [{key: value} for value in _values(field.default, field.metadata)]
    return found


def _values(default: Any, rule: Any) -> list[object]:
    match rule["kind"]:
        case "flag":
            return [False, True]
        case "choice":
            options = rule["options"]
            return sorted({options[0], options[len(options) // 2], options[-1]}, key=str)
        case "number":
            other = (default or 1) * 2
            return [default, other if other <= rule["most"] else rule["least"]]
        case _:
            return [default, rule["example"]]


def rows() -> list[Settings]:
    """Configurations in which every two values of different groups meet at least once.

    Each row begins with the value that has most others left to meet, and takes, group after group,
    the value that meets most of the row's for the first time; the largest groups choose first.
    """
    options = dict(sorted(groups().items(), key=lambda each: -len(each[1])))
    values = [(name, at) for name, found in options.items() for at in range(len(found))]
    left = {each: {other for other in values if other[0] != each[0]} for each in values}
    found: list[Settings] = []
    while any(left.values()):
        row = [max(values, key=lambda value: len(left[value]))]
        for name in options:
            if name != row[0][0]:
                own = [value for value in values if value[0] == name]
                row.append(max(own, key=lambda value: (_new(value, row, left), len(left[value]))))
        for each in row:
            left[each].difference_update(row)
        merged: Settings = {}
        for name, at in row:
            merged |= options[name][at]
        found.append({key: value for key, value in merged.items() if value is not None})
    return found


def _new(value: Value, row: list[Value], left: dict[Value, set[Value]]) -> int:
    """How many of the row the value meets for the first time."""
    return sum(each in left[value] for each in row)


@functools.cache
def _made(name: str, settings: tuple[tuple[str, object], ...]) -> Templates:
    return synthesize(name, **dict(settings))


def made(name: str, **settings: object) -> Templates:
    """A stage's templates; each configuration is synthesized once."""
    return _made(name, tuple(sorted(settings.items())))


def of_a_project() -> Templates:
    """With variables and secrets of its own, of each kind."""
    given: Settings = {
        "egress": "endpoints",
        "subnet_layout": "endpoints-2",
        "env.SITE_NAME": "Shop",
        "worker.env.BATCH_ROWS": "5",
        "secrets": "STRIPE_KEY",
        "secrets.MAPS_KEY": "secretsmanager:shared/maps#key",
        "api.secrets.TEAM_KEY": (
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:team-AbCdEf#pw"
        ),
        "worker.secrets.SMTP_PASSWORD": "ssm:/shared/smtp",
    }
    return made("dev", **given)
