"""The CloudWatch dashboard: one page that shows whether something is broken, and since when."""

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_rds as rds
from constructs import Construct

from service.contract import Metric
from stacks.config.processes import WorkerPool
from stacks.config.stage import Stage
from stacks.monitoring.alarms import Alarms
from stacks.monitoring.metrics import MAXIMUM, aws_metric, pool_metric

WIDTH = 8  # of 24


class Dashboard(cloudwatch.Dashboard):
    """Every alarm's state, then queue, API and database over time; 3 USD a month."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        alarms: Sequence[Alarms],
        balancer: elb.IApplicationLoadBalancer,
        target_group: elb.IApplicationTargetGroup,
        database: rds.IDatabaseCluster,
    ) -> None:
        super().__init__(scope, id, dashboard_name=stage.names.dashboard)

        def graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
            return cloudwatch.GraphWidget(title=title, left=list(metrics), width=WIDTH)

        default, *pools = stage.worker_pools

        def queue(*names: Metric, of: WorkerPool = default) -> list[cloudwatch.IMetric]:
            return [pool_metric(stage, of, name) for name in names]

        def writer(name: str) -> cloudwatch.IMetric:
            cluster = database.cluster_identifier
            return aws_metric(
                "AWS/RDS", name, MAXIMUM, {"DBClusterIdentifier": cluster, "Role": "WRITER"}
            )

        requests, answers = balancer.metrics, target_group.metrics
        self.add_widgets(
            cloudwatch.AlarmStatusWidget(
                title="Alarms",
                alarms=[alarm for part in alarms for alarm in part.alarms],
                width=24,
                height=6,
            )
        )
        self.add_widgets(
            graph("Jobs waiting", *queue(Metric.BACKLOG, Metric.JOBS_PER_WORKER)),
            graph("Oldest job, seconds", *queue(Metric.OLDEST_JOB_AGE_SECONDS)),
            graph("Workers alive", *queue(Metric.WORKERS_ALIVE)),
        )
        self.add_widgets(
            graph("Jobs a minute", *queue(Metric.JOBS_STARTED, Metric.JOBS_FINISHED)),
            graph(
                "Trouble a minute",
                *queue(Metric.JOBS_FAILED, Metric.JOBS_RETRIED, Metric.DEAD_LETTERS),
            ),
            graph("LISTEN silent, seconds", *queue(Metric.LISTEN_AGE_SECONDS)),
        )
        for each in pools:
            waiting = queue(Metric.BACKLOG, Metric.JOBS_PER_WORKER, Metric.WORKERS_ALIVE, of=each)
            ended = queue(Metric.JOBS_FINISHED, Metric.JOBS_FAILED, Metric.DEAD_LETTERS, of=each)
            self.add_widgets(
                graph(f"{each.name}: jobs waiting, workers", *waiting),
                graph(
                    f"{each.name}: oldest job, seconds",
                    *queue(Metric.OLDEST_JOB_AGE_SECONDS, of=each),
                ),
                graph(f"{each.name}: jobs a minute", *ended),
            )
        self.add_widgets(
            graph("Requests", requests.request_count()),
            graph(
                "5xx of balancer and API",
                requests.http_code_elb(elb.HttpCodeElb.ELB_5XX_COUNT),
                answers.http_code_target(elb.HttpCodeTarget.TARGET_5XX_COUNT),
            ),
            graph("p99, seconds", answers.target_response_time(statistic="p99")),
        )
        self.add_widgets(
            graph("Database capacity, percent", writer("ACUUtilization")),
            graph("Database connections", writer("DatabaseConnections")),
            graph("Deadlocks", writer("Deadlocks")),
        )
