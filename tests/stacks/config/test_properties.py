"""Whatever is configured, it is refused with a message or it holds."""

from typing import Any

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from stacks.config.checks import check_stage
from stacks.config.connections import CONNECTION_SHARE, connections_wanted, max_connections
from stacks.config.read_stage import read_stage
from stacks.config.stage import CONFIGURABLE, CPU, RETENTION_DAYS, Stage
from stacks.config.values import ConfigError
from tests.stacks.rules.test_rules import RULES
from tests.stacks.templates import CERTIFICATE, synthesize

DOMAIN: dict[str, object] = {
    "domain_name": "api.example.com",
    "hosted_zone_name": "example.com",
    "hosted_zone_id": "Z0123456789",
}
DOORS: list[dict[str, object]] = [{"allow_http": True}, {"certificate_arn": CERTIFICATE}, DOMAIN]

# Values that one key alone may have; together they may still be refused.
ALLOWED: dict[str, st.SearchStrategy[Any]] = {
    "is_protected": st.booleans(),
    "log_retention_days": st.sampled_from(RETENTION_DAYS),
    "alarm_email": st.sampled_from(["", "ops@example.com"]),
    "availability_zones": st.integers(2, 3),
    "egress": st.sampled_from(["public", "nat", "endpoints"]),
    "web_firewall": st.booleans(),
    "database_min_acu": st.sampled_from([0.5, 1, 2, 4]),
    "database_max_acu": st.sampled_from([1, 2, 4, 16, 64, 256]),
    "database_reader": st.booleans(),
    "database_backup_days": st.integers(7, 35),
    "cpu_architecture": st.sampled_from(["arm64", "x86_64"]),
    "enable_exec": st.booleans(),
    "email_from": st.sampled_from(["", "hello@example.com"]),
    "image": st.sampled_from(
        ["", "moorage:local", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop@sha256:abc"]
    ),
    "drain_seconds": st.integers(30, 110),
    "api_cpu": st.sampled_from(CPU[:3]),
    "api_memory_mib": st.sampled_from([512, 1024, 2048]),
    "api_min_count": st.integers(0, 3),
    "api_max_count": st.integers(1, 20),
    "worker_min_count": st.integers(0, 5),
    "worker_max_count": st.integers(1, 40),
    "worker_desired_count": st.none() | st.integers(0, 10),
    "worker_spot_percent": st.integers(0, 100),
    "worker_concurrency": st.integers(1, 200),
    "worker_jobs_target": st.integers(1, 1000),
    "worker_age_target_seconds": st.integers(10, 3600),
    "worker_pool_size": st.integers(1, 20),
}
STAGES = st.fixed_dictionaries({}, optional=ALLOWED)


def chosen(door: dict[str, object], given: dict[str, object]) -> Stage | None:
    """The stage, or None where it is refused; what was refused is said by key."""
    try:
        stage = read_stage(
            "dev", door | {key: value for key, value in given.items() if value is not None}
        )
        check_stage(stage)
    except ConfigError as error:
        keys = [problem.partition(" ")[0].strip(":") for problem in error.problems]
    else:
        return stage
    assert keys
    assert set(keys) <= set(CONFIGURABLE)
    return None


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(DOORS), STAGES)
def test_a_configuration_is_refused_by_key_or_its_budgets_hold(
    door: dict[str, object], given: dict[str, object]
) -> None:
    stage = chosen(door, given)
    assume(stage is not None)
    assert stage
    assert connections_wanted(stage.processes) <= CONNECTION_SHARE * max_connections(stage)
    assert stage.database_min_acu <= stage.database_max_acu
    assert stage.worker_min_count <= stage.worker_max_count


@settings(
    max_examples=6,  # of other configurations in each run
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much],
    phases=[Phase.explicit, Phase.generate],  # shrinking synthesizes for many minutes
)
@given(st.sampled_from(DOORS), STAGES)
def test_what_is_accepted_synthesizes_and_keeps_every_rule(
    door: dict[str, object], given: dict[str, object]
) -> None:
    stage = chosen(door, given)
    assume(stage is not None)
    templates = synthesize("dev", **door, **{k: v for k, v in given.items() if v is not None})
    for rule in RULES:
        rule(templates)


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=3), st.dictionaries(st.text(), st.integers()),
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(sorted(CONFIGURABLE)) | st.text(max_size=20), ANYTHING)
def test_no_value_at_all_ends_in_a_traceback(key: str, value: object) -> None:
    try:
        check_stage(read_stage("dev", {key: value}))
    except ConfigError as error:
        said = str(error)
    else:
        return
    assert key in said
