"""Each rule of `moor doctor` passes on a healthy stage and finds what it is about in a sick one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.doctor.model import (
    Cluster,
    Container,
    Database,
    Definition,
    Network,
    Policy,
    Queue,
    Role,
    Service,
    Statement,
    System,
    TargetGroup,
)
from scripts.doctor.rule import Severity, judge
from scripts.doctor.rules import RULES
from scripts.doctor.rules.exec import CHANNELS
from scripts.ecs import tasks
from stacks.config.read_stage import read_stage
from tests.scripts.values import ROLLOUT, TASK

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = "arn:aws:kms:us-east-1:123456789012:key/one"
MASTER = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds-abc"
USER = "arn:aws:secretsmanager:us-east-1:123456789012:secret:DatabaseUser-abc"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ui-abc"
IMAGE = "registry/app:" + "0" * 64
DATABASE_URL = "postgresql://app@db.cluster-x.rds/app?sslmode=verify-full&sslrootcert=/etc/x.pem"


HANDED_OVER = {
    "api": {"UI_PASSWORD": f"{SECRET}:password::"},
    "migrate": {"DATABASE_OWNER_PASSWORD": f"{MASTER}:password::"},
}


def _container(name: str, **given: Any) -> Container:
    environment = {
        "DATABASE_URL": DATABASE_URL, "DATABASE_SECRET_ARN": USER,
        "DATABASE_POOL_SIZE": "10", "QUEUE_POOL_SIZE": "4", "DRAIN_SECONDS": "100",
    }  # fmt: skip
    base = Container(
        name=name, command=(name,), image=IMAGE, environment=environment,
        depends_on={} if name == "migrate" else {"migrate": "SUCCESS"},
        health_check=("CMD", "python") if name == "worker" else (),
        secrets=HANDED_OVER.get(name, {}),
        stop_timeout=120, has_init=True, log_driver="awslogs",
        log_options={"mode": "blocking", "awslogs-group": f"/ecs/{name}"},
    )  # fmt: skip
    return replace(base, **given)


def stopped(reason: str, **exit_codes: int) -> tasks.Task:
    ended = tuple(tasks.Container(name, "STOPPED", code) for name, code in exit_codes.items())
    return replace(TASK, id="t", status="STOPPED", stop_reason=reason, containers=ended)


def _service(process: str) -> Service:
    secrets = (MASTER, SECRET) if process == "api" else (MASTER,)
    return Service(
        name=f"{process}-service",
        process=process,
        definition=Definition(
            name=process,
            containers=(_container("migrate"), _container(process)),
            architecture="ARM64",
            task_role=Role(
                name="task",
                statements=(
                    Statement(actions=CHANNELS, resources=("*",)),
                    Statement(actions=("secretsmanager:GetSecretValue",), resources=(USER,)),
                    Statement(actions=("kms:Decrypt",), resources=(KEY,)),
                ),
            ),
            execution_role=Role(
                name="execution",
                statements=(
                    Statement(actions=("ecr:GetAuthorizationToken",), resources=("*",)),
                    Statement(actions=("secretsmanager:GetSecretValue",), resources=secrets),
                ),
            ),
        ),
        least=1, most=4, desired=2, running=2,
        policies=(Policy(metric="JobsPerWorker"),),
        is_exec_on=True, has_breaker=True, health_grace_seconds=60,
        has_balancer=process == "api", has_public_address=True, subnets=("a", "b"),
    )  # fmt: skip


HEALTHY = System(
    stage=read_stage("dev"),
    now=NOW,
    is_live=True,
    services=(_service("api"), _service("worker")),
    target_group=TargetGroup(health_path="/health/live", deregistration_seconds=30),
    retention_days={"/ecs/api": 30},
    cluster=Cluster(exec_logging="OVERRIDE", exec_log_group="/ecs/exec", exec_key=KEY),
    database=Database(is_encrypted=True, backup_days=7, most_acu=2, force_ssl="1",
                      master_secret=MASTER),
    network=Network(zones=2),
    image_platforms={":" + "0" * 64: "linux/arm64"},
    ca_ends={"root": NOW + timedelta(days=3650)},
    caller={"ssm:StartSession": False, "kms:GenerateDataKey": True},
    readiness="",
    queues=(Queue(name="default", queued=3, active=1, workers=2, oldest_due_seconds=1),),
    listen_age_seconds=3,
    stopped=(stopped("Scaling", worker=0, migrate=0),),
    rollouts={"api-service": ROLLOUT},
    refused=(),
)  # fmt: skip
# As a template is: no counts, and nothing that only runs.
TEMPLATE = replace(
    HEALTHY, is_live=False,
    services=tuple(replace(s, desired=None) for s in HEALTHY.services or ()),
)  # fmt: skip

Change = Callable[[System], System]


def of_service(process: str, **given: Any) -> Change:
    return lambda system: replace(
        system,
        services=tuple(
            replace(s, **given) if s.process == process else s for s in system.services or ()
        ),
    )


def of_definition(process: str, **given: Any) -> Change:
    definition = replace(_service(process).definition, **given)
    return of_service(process, definition=definition)


def of_main(process: str, **given: Any) -> Change:
    main = _container(process, **given)
    return of_definition(process, containers=(_container("migrate"), main))


def of_environment(process: str, **given: str) -> Change:
    return of_main(process, environment={**_container(process).environment, **given})


def of_role(process: str, kind: str, *statements: Statement) -> Change:
    return of_definition(process, **{kind: Role(name="r", statements=statements)})


def of_part(part: str, **given: Any) -> Change:
    return lambda system: replace(system, **{part: replace(getattr(system, part), **given)})


def of_queue(**given: Any) -> Change:
    return lambda system: replace(
        system, queues=tuple(replace(each, **given) for each in system.queues or ())
    )


def whole(**given: Any) -> Change:
    return lambda system: replace(system, **given)


def both(*changes: Change) -> Change:
    def change(system: System) -> System:
        for each in changes:
            system = each(system)
        return system

    return change


NO_DRAIN = {k: v for k, v in _container("api").environment.items() if k != "DRAIN_SECONDS"}
SICK: list[tuple[str, Change, str]] = [
    ("api-not-ready", whole(readiness="database: away"), "not ready: database: away"),
    ("tasks-missing", of_service("worker", running=1), "worker-service: 1 of 2 ECS tasks"),
    ("right-refused", whole(refused=("IAM refused it",)), "IAM refused it"),
    ("no-worker", of_queue(workers=0), "3 jobs wait"),
    ("no-worker", both(of_queue(workers=0, queued=0)), "0 jobs wait"),
    ("backlog-grows-old", of_queue(oldest_due_seconds=61), "the maximum is 4 workers"),
    ("worker-deaf", whole(listen_age_seconds=61.0), "for 61 s"),
    ("deployment-failed", whole(rollouts={"api": replace(ROLLOUT, state="FAILED",
     reason="tasks failed to start")}), "api: its newest deployment failed: tasks failed to start"),
    ("task-killed", whole(stopped=(stopped("OutOfMemory", worker=137, migrate=0),)),
     "worker of ECS task t was killed"),
    ("exec-read-only-root", of_main("api", is_root_read_only=True), "root of api is read-only"),
    ("exec-no-channel", of_role("worker", "task_role",
     Statement(actions=CHANNELS[1:], resources=("*",))), f"may not {CHANNELS[0]}"),
    ("exec-no-route", of_service("worker", has_public_address=False), "neither a NAT gateway"),
    ("endpoint-missing", both(of_main("api", image="1.dkr.ecr.eu-west-1.amazonaws.com/app:1"),
     of_service("api", has_public_address=False)),
     "no endpoint of secretsmanager, ecr.api, ecr.dkr, logs"),
    ("endpoint-missing", both(of_service("worker", has_public_address=False), of_part("network",
     endpoints=frozenset({"secretsmanager", "api", "dkr", "logs"}))), "no endpoint of ecs"),
    ("endpoint-missing", both(of_service("worker", has_public_address=False), of_part("network",
     endpoints=frozenset({"secretsmanager", "api", "dkr", "logs", "ecs"})),
     of_environment("worker", EMAIL_FROM="a@b.c", QUEUE_DSN="sqs://jobs")),
     "no endpoint of email, sqs"),
    ("exec-no-init", of_main("worker", has_init=False), "nothing reaps"),
    ("static-aws-keys", of_environment("api", AWS_ACCESS_KEY_ID="AKIA"), "AWS_ACCESS_KEY_ID"),
    ("static-aws-keys", of_main("api", secrets={"AWS_SECRET_ACCESS_KEY": SECRET}), "has AWS_"),
    ("pid-mode-task", of_definition("worker", pid_mode="task"), "pidMode task"),
    ("start-session-allowed", whole(caller={"ssm:StartSession": True,
     "kms:GenerateDataKey": True}), "without ECS exec"),
    ("exec-not-logged", of_part("cluster", exec_logging="NONE"), "not logged"),
    ("exec-not-logged", of_part("cluster", exec_log_group=""), "not logged"),
    ("exec-not-logged", of_part("cluster", exec_key="another"), "may not use"),
    ("exec-key-refused", whole(caller={"ssm:StartSession": False,
     "kms:GenerateDataKey": False}), "that you may not use"),
    ("stop-timeout", of_main("worker", stop_timeout=121), "stopTimeout 121 s"),
    ("stop-timeout", of_main("worker", stop_timeout=109), "drains for 100 s and needs 10 s more"),
    ("stop-timeout", of_main("worker", stop_timeout=None), "killed after 30 s"),
    ("drain-unset", of_main("api", environment=NO_DRAIN), "DRAIN_SECONDS is not set"),
    ("worker-without-health-check", of_main("worker", health_check=()), "counts as healthy"),
    ("balancer-asks-database", of_part("target_group", health_path="/health/ready"), "failover"),
    ("balancer-asks-database", of_part("target_group", health_path="/"), "may depend on other"),
    ("health-grace-short", of_service("api", health_grace_seconds=29), "period of 29 s"),
    ("health-grace-short", both(
        whole(is_live=False), of_service("api", health_grace_seconds=None)), "period of 0 s"),
    ("deregistration-slow", of_part("target_group", deregistration_seconds=300), "waits 300 s"),
    ("breaker-off", of_service("worker", has_breaker=False), "for three hours"),
    ("api-least-healthy", of_service("api", least_healthy_percent=50), "only 50 %"),
    ("count-reset-by-deploy", both(whole(is_live=False), of_service("worker", desired=2)),
     "sets its count to 2"),
    ("migrate-not-first", of_definition("api", containers=(_container("api"),)), "nothing migr"),
    ("migrate-not-first", of_main("api", depends_on={"migrate": "START"}), "does not wait"),
    ("log-mode-unset", of_main("api", log_options={}), "lines may be lost"),
    ("log-mode-unset", of_main("api", log_driver="splunk"), "does not log to CloudWatch"),
    ("log-kept-for-ever", whole(retention_days={"/ecs/api": None}), "/ecs/api keeps"),
    ("architecture-mismatch", of_definition("api", architecture="X86_64"), "linux/arm64"),
    ("image-may-change", of_main("api", image="app:latest"), "app:latest may mean"),
    ("secret-unreadable", of_role("api", "execution_role"), "may not read UI_PASSWORD"),
    ("secret-for-nobody", of_role("worker", "execution_role", Statement(
     actions=("secretsmanager:GetSecretValue",), resources=(SECRET,))), "which no container uses"),
    ("password-in-environment", of_environment("api", DATABASE_URL="postgresql://a:b@c/d"),
     "password in DATABASE_URL"),
    ("password-in-environment", of_environment("worker", SMTP_PASSWORD="x"), "SMTP_PASSWORD"),
    ("password-in-environment", of_main("api", secrets={"PGPASSWORD": f"{MASTER}:password::"}),
     "the password rotates"),
    ("role-too-wide", of_role("api", "task_role", Statement(
     actions=("s3:*",), resources=("b",))), "may s3:*"),
    ("role-too-wide", of_role("api", "task_role", Statement(
     actions=("s3:GetObject",), resources=("*",))), "may s3:GetObject on everything"),
    ("database-password-unreadable", of_role("worker", "task_role"), "may not read the"),
    ("database-owner", of_environment("worker", DATABASE_SECRET_ARN=MASTER), "connects as the d"),
    ("database-owner", of_role("api", "task_role", Statement(
     actions=("secretsmanager:GetSecretValue",), resources=(USER, MASTER))), "may read the passw"),
    ("database-unencrypted", of_part("database", is_encrypted=False), "not encrypted"),
    ("database-unprotected", whole(stage=read_stage("prod")), "no deletion protection"),
    ("database-backup-short", of_part("database", backup_days=1), "kept for 1 day"),
    ("database-pauses", of_part("database", least_acu=0), "api-service, worker-service keeps"),
    ("database-pauses", of_part("database", least_acu=0, has_proxy=True), "its proxy keeps"),
    ("database-proxy", of_part("database", has_proxy=True), "a proxy in front of"),
    ("database-proxy", of_environment("api", DATABASE_URL="postgresql://a@x.proxy-y.rds/d"),
     "through the proxy x.proxy-y.rds"),
    ("database-tls-weak", of_environment("api", DATABASE_URL="postgresql://a@b/c?sslmode=require"),
     "sslmode=require"),
    ("database-tls-weak", of_environment("worker", DATABASE_URL="postgresql://a@b/c"), "unset"),
    ("database-roots-expire", whole(ca_ends={"old": NOW + timedelta(days=9)}), "2026-12-01"),
    ("database-connections", of_service("worker", most=20), "connections; the database"),
    ("database-connections", of_environment("api", DATABASE_POOL_SIZE="100"), "a deploy at"),
    ("database-plaintext", of_part("database", force_ssl="0"), "rds.force_ssl = 0"),
    ("worker-never-wakes", both(of_service("worker", least=0), of_service(
     "api", least=0, desired=0)), "nothing reports"),
    ("worker-stopped-by-cpu", of_service("worker", policies=(
     Policy(metric="ECSServiceAverageCPUUtilization"),)), "a low CPU"),
    ("api-on-spot", of_service("api", uses_spot=True), "runs on Spot"),
    ("one-zone", of_part("network", zones=1), "in one availability zone"),
    ("one-zone", of_part("network", nat_gateways=1), "one NAT gateway"),
]  # fmt: skip


def test_a_healthy_stage_passes_every_rule() -> None:
    report = judge(RULES, HEALTHY)
    assert report.findings == ()
    # A running ECS service always has a count: only a template says whose it is.
    assert report.not_checked.keys() == {"count-reset-by-deploy"}
    assert judge(RULES, TEMPLATE).findings == ()
    assert "count-reset-by-deploy" in judge(RULES, TEMPLATE).passed


def test_every_rule_has_a_sick_stage() -> None:
    assert {id for id, *_ in SICK} == {rule.id for rule in RULES}
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(("id", "change", "says"), SICK, ids=[f"{s[0]}-{s[2]}" for s in SICK])
def test_what_is_wrong_is_found(id: str, change: Change, says: str) -> None:
    found = [finding for finding in judge(RULES, change(HEALTHY)).findings if finding.id == id]
    assert found
    assert any(says in finding.message for finding in found)
    assert all(finding.fix and finding.link for finding in found)


@pytest.mark.parametrize(
    ("change", "id"),
    [
        (of_service("worker", policies=(Policy(metric="ECSServiceAverageCPUUtilization",
         may_scale_in=False),)), "worker-stopped-by-cpu"),
        (of_service("worker", least=0), "worker-never-wakes"),
        (both(of_service("api", least=0, desired=0), of_service("worker", least=0, desired=0),
         of_part("database", least_acu=0)), "database-pauses"),
        (both(of_service("api", is_exec_on=False), of_service("worker", is_exec_on=False),
         of_main("api", is_root_read_only=True)), "static-aws-keys"),
        (both(of_service("worker", has_public_address=False), of_part(
         "network", endpoints=frozenset({"ssmmessages"}))), "exec-no-route"),
        (both(of_service("worker", has_public_address=False), of_part(
         "network", nat_gateways=2)), "exec-no-route"),
        (both(of_service("worker", has_public_address=False), of_part(
         "network", nat_gateways=1)), "endpoint-missing"),
        (both(of_service("worker", has_public_address=False), of_part("network",
         endpoints=frozenset({"secretsmanager", "logs", "ecs"}))), "endpoint-missing"),
        (of_main("api", image=f"app@sha256:{'a' * 64}"), "image-may-change"),
        (whole(stage=replace(read_stage("dev"), api_desired_count=2), is_live=False),
         "database-unprotected"),
    ],
)  # fmt: skip
def test_what_only_looks_wrong_passes(change: Change, id: str) -> None:
    assert id in judge(RULES, change(HEALTHY)).passed


def test_a_count_that_the_configuration_asks_for_is_no_finding() -> None:
    asked = replace(read_stage("dev"), api_desired_count=2, worker_desired_count=2)
    report = judge(RULES, replace(HEALTHY, is_live=False, stage=asked))
    assert "count-reset-by-deploy" in report.passed


PARTS = (
    "services", "target_group", "retention_days", "cluster", "database", "network", "ca_ends",
    "caller", "readiness", "queues", "listen_age_seconds", "stopped", "rollouts",
)  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_cannot_be_seen_is_not_passed_over(part: str) -> None:
    nothing: dict[str, Any] = {part: None, "unread": {part: "these credentials may not"}}
    blind = replace(HEALTHY, **nothing)
    report = judge(RULES, blind)
    assert "these credentials may not" in report.not_checked.values()
    before = judge(RULES, HEALTHY)
    lost = set(before.passed) - set(report.passed)
    assert lost == set(report.not_checked) - set(before.not_checked)
    assert lost


def test_roles_that_cannot_be_read_are_said() -> None:
    definition = replace(_service("api").definition, task_role=None, execution_role=None)
    blind = replace(of_service("api", definition=definition)(HEALTHY), unread={"roles": "denied"})
    report = judge(RULES, blind)
    assert {"role-too-wide", "secret-unreadable", "exec-no-channel"} <= report.not_checked.keys()
    assert set(report.not_checked.values()) >= {"denied"}


def test_errors_come_first_and_decide() -> None:
    sick = both(of_part("network", zones=1), of_service("api", uses_spot=True),
                of_part("database", is_encrypted=False))(HEALTHY)  # fmt: skip
    report = judge(RULES, sick)
    assert [f.severity for f in report.findings] == list(Severity)
    assert report.has_errors
    assert not judge(RULES, of_part("network", zones=1)(HEALTHY)).has_errors
