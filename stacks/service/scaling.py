"""The autoscalers: the API's follows requests and CPU, those of workers follow their queues."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from service.contract import Metric
from stacks.config.processes import WorkerPool
from stacks.config.stage import Stage
from stacks.monitoring.metrics import math, pool_metric
from stacks.service.load_balancer import LoadBalancer

COOLDOWN = Duration.minutes(1)
SCALE_IN_COOLDOWN = Duration.minutes(5)


class ApiScaling(Construct):
    """Scales between the stage's bounds by requests and CPU per ECS task; the larger count wins."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        api: ecs.FargateService,
        load_balancer: LoadBalancer,
    ) -> None:
        super().__init__(scope, id)
        count = api.auto_scale_task_count(
            min_capacity=stage.api_min_count, max_capacity=stage.api_max_count
        )
        count.scale_on_request_count(
            "Requests",
            requests_per_target=stage.api_requests_target,
            target_group=load_balancer.target_group,
            scale_in_cooldown=SCALE_IN_COOLDOWN,
            scale_out_cooldown=COOLDOWN,
        )
        count.scale_on_cpu_utilization(
            "Cpu",
            target_utilization_percent=stage.api_cpu_target_percent,
            scale_in_cooldown=SCALE_IN_COOLDOWN,
            scale_out_cooldown=COOLDOWN,
        )


class WorkerScaling(Construct):
    """Scales a pool between its bounds by waiting and running jobs per worker, and by their age.

    Not by CPU: a worker whose jobs wait for other services uses no CPU, and must not be stopped.
    From zero, one waiting job starts the first worker within two minutes. The last worker stops
    only when no job waits or runs.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        pool: WorkerPool,
        worker: ecs.FargateService,
    ) -> None:
        super().__init__(scope, id)
        self._stage, self._pool = stage, pool
        # The service-linked role of Application Auto Scaling; the CDK would make another.
        role = iam.Role.from_role_arn(
            self,
            "Role",
            Stack.of(self).format_arn(
                service="iam",
                region="",
                resource="role/aws-service-role/ecs.application-autoscaling.amazonaws.com",
                resource_name="AWSServiceRoleForApplicationAutoScaling_ECSService",
            ),
        )
        self.target = autoscaling.ScalableTarget(
            self,
            "Count",
            service_namespace=autoscaling.ServiceNamespace.ECS,
            resource_id=f"service/{stage.names.cluster}/{stage.names.service(pool.name)}",
            scalable_dimension="ecs:service:DesiredCount",
            role=role,
            min_capacity=pool.min_count,
            max_capacity=pool.max_count,
        )
        self.target.node.add_dependency(worker)
        self.target.scale_to_track_metric(
            "Jobs",
            custom_metric=self._metric(Metric.JOBS_PER_WORKER),
            target_value=pool.jobs_target,
            scale_in_cooldown=SCALE_IN_COOLDOWN,
            scale_out_cooldown=COOLDOWN,
        )
        self._add_when_old()
        if pool.min_count == 0:
            self._wake()

    def _metric(self, metric: Metric) -> cloudwatch.Metric:
        return pool_metric(self._stage, self._pool, metric)

    def _add_when_old(self) -> None:
        """Add one worker while the oldest job is too old, three while it is more than twice so."""
        limit = self._pool.age_target_seconds
        action = autoscaling.StepScalingAction(
            self,
            "AddWorkers",
            scaling_target=self.target,
            adjustment_type=autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
            cooldown=COOLDOWN,
            metric_aggregation_type=autoscaling.MetricAggregationType.MAXIMUM,
        )
        action.add_adjustment(lower_bound=0, upper_bound=limit, adjustment=1)
        action.add_adjustment(lower_bound=limit, adjustment=3)
        alarm = cloudwatch.Alarm(
            self,
            "OldJobs",
            alarm_description="Scaling, not trouble: the oldest job calls for more workers",
            metric=self._metric(Metric.OLDEST_JOB_AGE_SECONDS),
            threshold=limit,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.ApplicationScalingAction(action))

    def _wake(self) -> None:
        """Start the first worker by an alarm: target tracking cannot divide by zero workers."""
        action = autoscaling.StepScalingAction(
            self,
            "Wake",
            scaling_target=self.target,
            adjustment_type=autoscaling.AdjustmentType.EXACT_CAPACITY,
            cooldown=COOLDOWN,
            metric_aggregation_type=autoscaling.MetricAggregationType.MAXIMUM,
        )
        action.add_adjustment(lower_bound=0, adjustment=1)
        alarm = cloudwatch.Alarm(
            self,
            "NobodyWorks",
            alarm_description="Scaling, not trouble: jobs wait and no worker runs",
            # Only while no worker is alive: the action sets the count to 1.
            metric=math(
                "IF(alive < 1, backlog, 0)",
                {
                    "alive": self._metric(Metric.WORKERS_ALIVE),
                    "backlog": self._metric(Metric.BACKLOG),
                },
                "Jobs that nobody works on",
            ),
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.ApplicationScalingAction(action))
