"""Alarms on the metrics of a worker pool and its queues."""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from service.contract import METRIC_NAMESPACE, WRONG_CREDENTIALS_EVENT, Metric
from stacks.config.processes import WorkerPool
from stacks.config.stage import Stage
from stacks.monitoring.alarms import Alarms, Missing
from stacks.monitoring.metrics import SUM, aws_metric, math, pool_metric

# The alarm rings when a job has waited this many times longer than the autoscaler's target.
PATIENCE = 5
# Minutes that jobs may wait without a worker. From zero, the first worker needs some: two for the
# autoscaler, and others for Fargate and migrations.
WITHOUT_WORKER, FROM_ZERO = 5, 10
WRONG_CREDENTIALS = "WrongCredentials"


class QueueAlarms(Alarms):
    """Alarms for late jobs, missing workers and failures of one pool.

    Those of the stage as a whole are added by `watch_reports` and `count_wrong_credentials`.
    """

    def __init__(
        self, scope: Construct, id: str, *, stage: Stage, pool: WorkerPool, topic: sns.ITopic
    ) -> None:
        super().__init__(scope, id, stage=stage, topic=topic, of=pool.name if pool.pool else "")
        self.pool = pool
        queue = self._metric

        self.add(
            "OldestJobAge",
            "The oldest waiting job is far beyond its time.",
            queue(Metric.OLDEST_JOB_AGE_SECONDS),
            above=PATIENCE * pool.age_target_seconds,
            minutes=5,
            missing=Missing.IS_FINE,  # NoMetrics rings then
        )
        self.add(
            "NoWorker",
            "Jobs wait and no worker is alive.",
            math(
                "IF(alive < 1, backlog, 0)",
                {"alive": queue(Metric.WORKERS_ALIVE), "backlog": queue(Metric.BACKLOG)},
                "Jobs that nobody works on",
            ),
            above=0,
            minutes=WITHOUT_WORKER if pool.min_count else FROM_ZERO,
            missing=Missing.IS_FINE,  # NoMetrics rings then
        )
        self.add(
            "DeadLetters",
            "A job was set aside: it killed its workers or cannot be read.",
            queue(Metric.DEAD_LETTERS),
            above=0,
            missing=Missing.IS_FINE,
        )
        failed = self.add(
            "FailedJobs",
            "More than one in ten jobs ends in failure.",
            math(
                # With fewer than ten jobs in a minute, one failure would count for too much.
                "IF(failed + finished >= 10, 100 * failed / (failed + finished), 0)",
                {"failed": queue(Metric.JOBS_FAILED), "finished": queue(Metric.JOBS_FINISHED)},
                "Failed jobs, percent",
            ),
            above=10,
            minutes=3,
            of=5,
            missing=Missing.IS_FINE,
        )
        retried = self.add(
            "RetriedJobs",
            "More runs are retries than are new.",
            math(
                "IF(started >= 10, 100 * retried / started, 0)",
                {"retried": queue(Metric.JOBS_RETRIED), "started": queue(Metric.JOBS_STARTED)},
                "Retries, percent of runs",
            ),
            above=50,
            minutes=5,
            missing=Missing.IS_FINE,
        )
        self.rollback_alarms = [failed, retried]
        self.add(
            "ListenAge",
            "A worker's LISTEN connection has been silent; jobs start by polling, late.",
            queue(Metric.LISTEN_AGE_SECONDS),
            above=60,
            minutes=3,
            missing=Missing.IS_FINE,  # there may be no worker
        )

    def _metric(self, metric: Metric) -> cloudwatch.Metric:
        return pool_metric(self.stage, self.pool, metric)

    def watch_reports(self) -> None:
        """Add an alarm for a stage whose processes report no metric any more: one of them reports
        for all pools."""
        if any(process.min_count for process in self.stage.processes):  # else nothing has to run
            self.add_heartbeat(
                "NoMetrics",
                "Nobody reports on the queue: neither API nor worker runs, or both are stuck.",
                self._metric(Metric.WORKERS_ALIVE),
            )

    def count_wrong_credentials(self, api_log: logs.ILogGroup) -> None:
        """Add an alarm for many requests that the API refuses."""
        # The stage is in the name: a filter takes dimensions from the log line, which has none.
        name = f"{WRONG_CREDENTIALS}-{self.stage.names.prefix}"
        logs.MetricFilter(
            self,
            WRONG_CREDENTIALS + "Filter",
            log_group=api_log,
            metric_namespace=METRIC_NAMESPACE,
            metric_name=name,
            filter_pattern=logs.FilterPattern.string_value("$.event", "=", WRONG_CREDENTIALS_EVENT),
            metric_value="1",
        )
        self.add(
            WRONG_CREDENTIALS,
            "Somebody tries keys or passwords.",
            aws_metric(METRIC_NAMESPACE, name, SUM, {}),
            above=100,
            minutes=5,
            missing=Missing.IS_FINE,
        )
