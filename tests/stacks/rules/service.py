"""The ECS services: how they are deployed, rolled back and counted."""

from service import contract
from service.contract import ProcessName
from tests.stacks.rules.task_definitions import CLUSTER, SERVICE, TASK, main_container
from tests.stacks.templates import Resource, Templates


def service(templates: Templates, process: ProcessName) -> Resource:
    return templates.one(SERVICE, process.capitalize())


def failed_deployments_roll_back(templates: Templates) -> None:
    """Circuit breaker with rollback, and never fewer ECS tasks than wanted."""
    for each in templates.all(SERVICE):
        found = each.get("DeploymentConfiguration")
        assert found["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert found["MinimumHealthyPercent"] == 100
        assert found["MaximumPercent"] == 200


def bad_releases_of_a_protected_stage_roll_back(templates: Templates) -> None:
    """On what callers and jobs meet; elsewhere a deploy does not wait for alarms."""
    for process, wanted in BAD_RELEASE.items():
        found = service(templates, process).get("DeploymentConfiguration.Alarms")
        if not templates.stage.is_protected:
            assert not found, process
            continue
        alarms = {each.id: each.id[:-8] for each in templates.all("AWS::CloudWatch::Alarm")}
        assert [alarms[each["Ref"]] for each in found["AlarmNames"]] == wanted, process
        assert found["Enable"] is True
        assert found["Rollback"] is True


BAD_RELEASE = {
    ProcessName.API: ["TrafficBalancerErrors", "TrafficApiErrors"],
    ProcessName.WORKER: ["QueueFailedJobs", "QueueRetriedJobs"],
}


def deploys_do_not_wait_for_draining_workers(templates: Templates) -> None:
    """Deferred clean-up for the worker, and for it alone."""
    path = "DeploymentConfiguration.EarlySuccessCriteria"
    assert service(templates, ProcessName.WORKER).get(path) == {
        "Enable": True,
        "HealthyPercent": 100,
        "SourceServiceRevisionCleanup": "DEFERRED",
    }
    assert service(templates, ProcessName.API).get(path) is None


def worker_is_deployed_before_the_api(templates: Templates) -> None:
    """DESIGN: new jobs never meet an old worker."""
    worker = service(templates, ProcessName.WORKER)
    assert worker.id in service(templates, ProcessName.API).body["DependsOn"]


def rights_and_ways_are_there_before_the_first_ecs_task(templates: Templates) -> None:
    """Else the first ECS task of a stage starts without a policy or a way to the database."""
    for process in (ProcessName.API, ProcessName.WORKER):
        needed = [
            each.id
            for each in templates
            if each.stack == "service"
            and each.id.startswith(process.capitalize())
            and (
                each.type == "AWS::IAM::ManagedPolicy"
                or each.type.startswith("AWS::EC2::SecurityGroup")
            )
        ]
        assert len(needed) >= 5
        assert set(needed) <= set(service(templates, process).body["DependsOn"])


def count_is_the_autoscalers_unless_given(templates: Templates) -> None:
    """A desired count in the template would undo what the autoscaler did."""
    stage = templates.stage
    for process, wanted in {
        ProcessName.API: stage.api_desired_count,
        ProcessName.WORKER: stage.worker_desired_count,
    }.items():
        assert service(templates, process).get("DesiredCount") == wanted


def only_the_worker_may_run_on_spot(templates: Templates) -> None:
    """An API on Spot drops requests."""
    spot = templates.stage.worker_spot_percent
    wanted = {"FARGATE": 100 - spot, "FARGATE_SPOT": spot} if spot else {"FARGATE": 1}
    for process, weights in ((ProcessName.API, {"FARGATE": 1}), (ProcessName.WORKER, wanted)):
        # A strategy in any case: to or from a launch type CloudFormation may replace the service.
        assert service(templates, process).get("LaunchType") is None
        strategy = service(templates, process).get("CapacityProviderStrategy")
        assert {each["CapacityProvider"]: each["Weight"] for each in strategy} == weights
    for each in strategy if spot else []:
        least = max(templates.stage.worker_min_count, 1)  # these run whatever Spot has to give
        assert each.get("Base") == (least if each["CapacityProvider"] == "FARGATE" else None)
    offered = templates.one("AWS::ECS::ClusterCapacityProviderAssociations")
    assert offered.get("CapacityProviders") == ["FARGATE", "FARGATE_SPOT"]


def ecs_services_are_spread_and_current(templates: Templates) -> None:
    """ECS.10, CKV_AWS_332: the newest platform, zones kept even, tags passed on."""
    for each in templates.all(SERVICE):
        assert each.get("PlatformVersion") == "LATEST"
        assert each.get("AvailabilityZoneRebalancing") == "ENABLED"
        assert each.get("PropagateTags") == "SERVICE"
        assert each.get("EnableECSManagedTags") is True
        assert len(each.get("NetworkConfiguration.AwsvpcConfiguration.Subnets")) >= 2


def ecs_tasks_have_an_address_only_where_there_is_no_other_way_out(templates: Templates) -> None:
    """ECS.2, CKV_AWS_333."""
    wanted = "ENABLED" if templates.stage.egress == "public" else "DISABLED"
    for each in templates.all(SERVICE):
        found = each.get("NetworkConfiguration.AwsvpcConfiguration")
        assert found["AssignPublicIp"] == wanted
        assert len(found["SecurityGroups"]) == 1


def cluster_reports_on_itself(templates: Templates) -> None:
    """ECS.12: Container Insights, which the alarms on missing ECS tasks read."""
    settings = templates.one(CLUSTER).get("ClusterSettings")
    assert settings == [{"Name": "containerInsights", "Value": "enabled"}]


def api_has_time_for_migrations_before_it_is_judged(templates: Templates) -> None:
    """The grace period covers the start."""
    api = service(templates, ProcessName.API)
    assert 60 <= api.get("HealthCheckGracePeriodSeconds") <= 600
    (target,) = api.get("LoadBalancers")
    assert target["ContainerName"] == ProcessName.API
    assert target["ContainerPort"] == contract.API_PORT
    (mapping,) = main_container(templates.one(TASK, "Api"))["PortMappings"]
    assert mapping == {"ContainerPort": contract.API_PORT, "Name": "api", "Protocol": "tcp"}
