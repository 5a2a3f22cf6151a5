"""Alarms on the load balancer, the firewall and the ECS services."""

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.config.stage import Stage
from stacks.monitoring.alarms import Alarms, Missing
from stacks.monitoring.event_rules import add_event_rules
from stacks.monitoring.metrics import SUM, aws_metric, math

SLOW_SECONDS = 1.0


class TrafficAlarms(Alarms):
    """Alarms for missing or slow answers, missing ECS tasks and failed deployments."""

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
        for process in (stage.api, stage.worker_pools[0]):  # other pools watch their own
            self.watch_count(process)
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
        add_event_rules(self, stage=stage, cluster=cluster, topic=topic)

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
                # Without 503 (no target), which must not fail a first deployment.
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
        if self.stage.api_min_count:  # otherwise 503 is right while no ECS task runs
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
        self.rollback_alarms = [unanswered, failed]
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
