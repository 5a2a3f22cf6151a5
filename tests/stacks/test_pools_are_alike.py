"""A worker pool is built as the default one is: so what the rules hold about that holds for each.

Stage `pools` of tests/stacks/stages.toml has `mail`, with the sizes of the default pool, and
`reports`, with others.
"""

import json
import re
from typing import Any

import pytest

from service.contract import EnvVar
from stacks.config.processes import WorkerPool
from tests.stacks.rules.monitoring import ALARM
from tests.stacks.rules.scaling import POLICY, STEPS, TARGET, TRACKING
from tests.stacks.rules.task_definitions import SERVICE
from tests.stacks.templates import Resource, Templates, of_stage

HASH = r"[0-9A-F]{8}"
# Of the default pool alone: the role of releases before there were pools, and the stage's alarms.
DEFAULT_ONLY = {
    "WorkerRolesTask", "WorkerRolesTaskPolicy", "QueueNoMetrics", "QueueWrongCredentials",
    "QueueWrongCredentialsFilter",
}  # fmt: skip


@pytest.fixture
def stage() -> Templates:
    return of_stage("pools")


def resources(stage: Templates, pool: str) -> dict[str, dict[str, Any]]:
    """What a pool is built of, with the default pool's names in the place of its own."""
    scope = f"Pools{pool}" if pool else ""
    prefix = stage.stage.names.prefix
    found = {}
    for each in stage:
        if each.stack == "service" and re.match(f"{scope}(Worker|Queue)", each.id):
            text = json.dumps(each.body, sort_keys=True)
            for old, new in (
                (f"{scope}(Worker|Queue)", r"\1"),
                (rf"(Worker\w*?|Queue\w*?)({HASH})+(?=\W)", r"\1"),
                (f"{prefix}-worker-{pool}(?=\\W|-service)", f"{prefix}-worker"),
                (f'{{"Name": "Pool", "Value": "{pool}"}}', '{"Name": "Queue", "Value": "default"}'),
                (f'"worker-{pool}"', '"worker"'),
                (f'"worker-{pool}: ', '"'),
                (f', {{"Name": "{EnvVar.WORKER_POOL}", "Value": "{pool}"}}', ""),
            ):
                text = re.sub(old, new, text) if pool or old.startswith("(Worker") else text
            found[_name(each, scope)] = json.loads(text)
    return found


def _name(resource: Resource, scope: str) -> str:
    name = re.sub(rf"^{scope}|({HASH})+(to)?({HASH})?$", "", resource.id)
    return name if "SecurityGroup" in name else name.removesuffix("to")


def as_text(body: dict[str, Any]) -> str:
    if body["Type"].startswith("AWS::IAM::"):
        properties = {key: each for key, each in body["Properties"].items() if key != "Path"}
        body = body | {"Properties": properties | {"Path": "/"}}
    order = [each for each in body.get("DependsOn", []) if each not in DEFAULT_ONLY]
    text = json.dumps(body | {"DependsOn": order}, sort_keys=True, indent=1)
    return re.sub(rf'("{EnvVar.WORKER_QUEUES}",\s+"Value":) "[^"]*"|({HASH})+', r"\1", text)


def test_a_pool_of_the_same_sizes_is_built_of_the_same(stage: Templates) -> None:
    default, mail = resources(stage, ""), resources(stage, "mail")
    alarm = mail.pop("QueueWorkerTasksMissing")
    assert set(default) - set(mail) == DEFAULT_ONLY
    assert set(mail) - set(default) == set()
    missing = stage.one(ALARM, "TrafficWorkerTasksMissing").body["Properties"]
    for key in ("Metrics", "Threshold", "EvaluationPeriods", "TreatMissingData", "AlarmActions"):
        assert alarm["Properties"][key] == missing[key], key
    for name, body in mail.items():
        assert as_text(body) == as_text(default[name]), name


def scope_of(stage: Templates) -> tuple[WorkerPool, str]:
    (pool,) = (each for each in stage.stage.pools if each.pool == "reports")
    return pool, "Poolsreports"


def test_a_pool_scales_by_its_own_figures_and_from_zero(stage: Templates) -> None:
    pool, scope = scope_of(stage)
    target = stage.one(TARGET, scope)
    assert (target.get("MinCapacity"), target.get("MaxCapacity")) == (0, 3)
    policies = stage.all(POLICY, scope)
    (tracking,) = (each for each in policies if each.get("PolicyType") == "TargetTrackingScaling")
    assert tracking.get(f"{TRACKING}.TargetValue") == pool.jobs_target
    assert {"Name": "Pool", "Value": "reports"} in tracking.get(
        f"{TRACKING}.CustomizedMetricSpecification.Dimensions"
    )
    wake = stage.one(POLICY, f"{scope}WorkerScalingWake")
    assert wake.get(f"{STEPS}.AdjustmentType") == "ExactCapacity"
    nobody = stage.one(ALARM, f"{scope}WorkerScalingNobodyWorks")
    assert nobody.get("AlarmActions") == [{"Ref": wake.id}]
    watched = [each for each in nobody.get("Metrics") if "MetricStat" in each]
    assert str(watched).count("'Value': 'reports'") == 2
    assert stage.one(ALARM, f"{scope}WorkerScalingOldJobs").get("Threshold") == 600
    assert stage.one(ALARM, f"{scope}QueueOldestJobAge").get("Threshold") == 3000
    assert stage.one(ALARM, f"{scope}QueueNoWorker").get("EvaluationPeriods") == 10


def test_a_pool_is_rolled_back_and_deployed_before_the_api(stage: Templates) -> None:
    service = stage.one(SERVICE, "Poolsreports")
    alarms = [each["Ref"][:-8] for each in service.get("DeploymentConfiguration.Alarms.AlarmNames")]
    assert alarms == ["PoolsreportsQueueFailedJobs", "PoolsreportsQueueRetriedJobs"]
    weights = {
        each["CapacityProvider"]: each["Weight"] for each in service.get("CapacityProviderStrategy")
    }
    assert weights == {"FARGATE": 30, "FARGATE_SPOT": 70}
    assert service.get("DesiredCount") is None
    needed = stage.one(SERVICE, "Api").body["DependsOn"]
    assert {each.id for each in stage.all(SERVICE) if not each.id.startswith("Api")} <= set(needed)


def test_a_pool_has_its_place_on_the_dashboard(stage: Templates) -> None:
    whole = str(stage.one("AWS::CloudWatch::Dashboard").get("DashboardBody"))
    for pool in ("mail", "reports"):
        assert whole.count(f"worker-{pool}: ") == 3
        assert f"Pools{pool}QueueOldestJobAge" in whole


def test_operators_may_read_the_logs_of_each_pool(stage: Templates) -> None:
    (read,) = (
        each for each in stage.all("AWS::IAM::ManagedPolicy") if each.id.startswith("OperatorsRead")
    )
    (logs,) = (each for each in read.get("PolicyDocument.Statement") if each["Sid"] == "ReadLogs")
    for process in ("api", "worker", "worker-mail", "worker-reports"):
        assert f"/ecs/{stage.stage.names.prefix}-{process}:*" in str(logs["Resource"])
    path = f"/{stage.stage.names.prefix}-pools/"
    of_pools = [
        each.get("Path")
        for type in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy")
        for each in stage.all(type, "Pools")
    ]
    assert of_pools == [path] * 12
    for each in stage.all("AWS::IAM::ManagedPolicy", "Operators"):
        may = str(each.properties)
        assert (f":role{path}*" in may) is not each.id.startswith("OperatorsOperate")
        assert (f":policy{path}*" in may) is each.id.startswith("OperatorsRead")


def test_a_pool_without_its_stage_leaves_the_rest_as_it_is() -> None:
    """What a stage has of its default pool is the same beside others: ids, roles, log group."""
    alone, beside = of_stage("prod"), of_stage("pools")
    ids = {each.id for each in alone if not each.id.startswith(("Door", "Certificate"))}
    ids = {id for id in ids if "SecurityGroup" not in id}  # with the stage's name in it
    assert len(ids) > 100
    assert ids <= {each.id for each in beside}
