"""Alarms on the balancer, the firewall and the ECS services, and events of deployments."""

from typing import Any

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from constructs import Construct

from service.contract import ProcessName
from stacks.config.naming import runbook_section
from stacks.config.stage import Stage
from stacks.monitoring.alarm_topic import ToTopic
from stacks.monitoring.alarms import Alarms, Missing
from stacks.monitoring.metrics import AVERAGE, SUM, aws_metric, math

SLOW_SECONDS = 1.0


class TrafficAlarms(Alarms):
    """Do callers get answers, do the ECS tasks run, did the deployment succeed?"""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        topic: sns.ITopic,
        balancer: elb.IApplicationLoadBalancer,
        target_group: elb.IApplicationTargetGroup,
        cluster: ecs.ICluster,
        firewall_name: str | None,
    ) -> None:
        super().__init__(scope, id, stage=stage, topic=topic)
        self._watch_balancer(balancer.metrics, target_group.metrics)
        for process in (ProcessName.API, ProcessName.WORKER):
            self._watch_count(process)
        if firewall_name:
            self.add(
                "FirewallBlocks",
                "The firewall refuses many requests.",
                aws_metric(
                    "AWS/WAFV2",
                    "BlockedRequests",
                    SUM,
                    {"WebACL": firewall_name, "Region": Aws.REGION, "Rule": "ALL"},
                ),
                above=1000,
                minutes=5,
                missing=Missing.IS_FINE,
            )
        self._tell_of_events(cluster, topic)

    def _watch_balancer(
        self,
        balancer: elb.IApplicationLoadBalancerMetrics,
        group: elb.IApplicationTargetGroupMetrics,
    ) -> None:

        def minute(metric: cloudwatch.Metric, statistic: str) -> cloudwatch.Metric:
            return metric.with_(statistic=statistic, period=Duration.minutes(1))

        nobody = minute(balancer.http_code_elb(elb.HttpCodeElb.ELB_503_COUNT), SUM)
        unanswered = self.add(
            "BalancerErrors",
            "The balancer answers 5xx by itself: who takes the request does not answer it.",
            math(
                # Not those with nobody to take it, on which a first deployment must not fail.
                "errors - nobody",
                {
                    "errors": minute(balancer.http_code_elb(elb.HttpCodeElb.ELB_5XX_COUNT), SUM),
                    "nobody": nobody,
                },
                "5xx of the balancer but 503",
            ),
            above=5,
            minutes=3,
            of=5,
            missing=Missing.IS_FINE,
        )
        if self.stage.api_min_count:  # else it is what an API without ECS tasks is to answer
            self.add(
                "NoTarget",
                "Callers are turned away with 503: no ECS task of the API is there for them.",
                nobody,
                above=5,
                minutes=3,
                of=5,
                missing=Missing.IS_FINE,
            )
        failed = self.add(
            "ApiErrors",
            "The API answers 5xx.",
            minute(group.http_code_target(elb.HttpCodeTarget.TARGET_5XX_COUNT), SUM),
            above=5,
            minutes=3,
            of=5,
            missing=Missing.IS_FINE,
        )
        self.of_a_bad_release = [unanswered, failed]
        self.add(
            "ApiLatency",
            "One request in a hundred takes longer than a second.",
            minute(group.target_response_time(), "p99"),
            above=SLOW_SECONDS,
            minutes=5,
            missing=Missing.IS_FINE,
        )
        self.add(
            "RejectedConnections",
            "The balancer is full and turns callers away.",
            minute(balancer.rejected_connection_count(), SUM),
            above=0,
            missing=Missing.IS_FINE,
        )
        self.add(
            "UnhealthyApi",
            "ECS tasks of the API do not answer the balancer.",
            minute(group.unhealthy_host_count(), "Maximum"),
            above=0,
            minutes=5,
            missing=Missing.IS_FINE,
        )

    def _watch_count(self, process: ProcessName) -> None:
        names = self.stage.names

        def count(name: str) -> cloudwatch.Metric:
            return aws_metric(
                "ECS/ContainerInsights",
                name,
                AVERAGE,
                {"ClusterName": names.cluster, "ServiceName": names.service(process)},
            )

        self.add_shortfall(
            f"{process.capitalize()}TasksMissing",
            f"Fewer ECS tasks of {names.service(process)} run than are wanted.",
            wanted=count("DesiredTaskCount"),
            there=count("RunningTaskCount"),
            must_run=getattr(self.stage, f"{process}_min_count") > 0,
        )

    def _tell_of_events(self, cluster: ecs.ICluster, topic: sns.ITopic) -> None:
        here = Stack.of(self)
        services = [
            here.format_arn(
                service="ecs",
                resource="service",
                resource_name=f"{self.stage.names.cluster}/{self.stage.names.service(process)}",
            )
            for process in (ProcessName.API, ProcessName.WORKER)
        ]
        self._event(
            "DeploymentFailed",
            "A deployment failed, and the one before comes back.",
            topic,
            detail_type="ECS Deployment State Change",
            detail={"eventName": ["SERVICE_DEPLOYMENT_FAILED"]},
            resources=services,
        )
        # What no metric tells where none has to run: the first ECS task does not start.
        self._event(
            "TasksDoNotStart",
            "ECS tries again and again to start ECS tasks, and they end.",
            topic,
            detail_type="ECS Service Action",
            detail={"eventName": ["SERVICE_TASK_START_IMPAIRED"]},
            resources=services,
        )
        self._event(
            "OutOfMemory",
            "A container needed more memory than it has, and was killed.",
            topic,
            detail_type="ECS Task State Change",
            detail={
                "clusterArn": [cluster.cluster_arn],
                "lastStatus": ["STOPPED"],
                "containers": {"reason": [{"prefix": "OutOfMemoryError"}]},
            },
        )
        # Also where exec is off: there it is one call away, and nobody should be surprised by it.
        self._event(
            "ExecuteCommand",
            "Somebody ran a command inside a container.",
            topic,
            detail_type="AWS API Call via CloudTrail",
            detail={
                "eventName": ["ExecuteCommand"],
                # callers give the one or the other
                "requestParameters": {"cluster": [cluster.cluster_name, cluster.cluster_arn]},
            },
            # not the answer, which opens the session
            tells={
                "who": "$.detail.userIdentity.arn",
                "from": "$.detail.sourceIPAddress",
                "asked": "$.detail.requestParameters",
            },
        )

    def _event(
        self,
        id: str,
        says: str,
        topic: sns.ITopic,
        *,
        detail_type: str,
        detail: dict[str, Any],
        resources: list[str] | None = None,
        tells: dict[str, str] | None = None,
    ) -> None:
        told = tells or {"event": "$.detail"}
        says = f"{self.stage.names.prefix}: {says} {self.stage.runbook_url}#{runbook_section(id)}"
        events.Rule(
            self,
            id,
            description=says,
            event_pattern=events.EventPattern(
                source=["aws.ecs"], detail_type=[detail_type], detail=detail, resources=resources
            ),
            targets=[
                ToTopic(
                    topic,
                    events.RuleTargetInput.from_object(
                        {"says": says}
                        | {key: events.EventField.from_path(path) for key, path in told.items()}
                    ),
                )
            ],
        )
