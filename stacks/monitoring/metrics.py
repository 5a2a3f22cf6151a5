"""The metrics that scaling, alarms and the dashboard read."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from service.contract import (
    METRIC_NAMESPACE,
    METRIC_SECONDS,
    Metric,
    MetricDimension,
    waiting_dimension,
    worker_dimension,
)
from stacks.config.processes import WorkerPool
from stacks.config.stage import Stage

# Statistics over the values of one period. One process writes one value a minute.
MAXIMUM, SUM, AVERAGE, SAMPLES = "Maximum", "Sum", "Average", "SampleCount"
SUMMED = {
    Metric.JOBS_STARTED,
    Metric.JOBS_FINISHED,
    Metric.JOBS_FAILED,
    Metric.JOBS_RETRIED,
    Metric.DEAD_LETTERS,
}
WAITING = {Metric.BACKLOG, Metric.OLDEST_JOB_AGE_SECONDS}


def pool_metric(stage: Stage, pool: WorkerPool, metric: Metric) -> cloudwatch.Metric:
    """A metric of a pool and the queues that it serves, which the service writes every minute."""
    dimension, value = (
        waiting_dimension(pool.pool, pool.queues)
        if metric in WAITING
        else worker_dimension(pool.pool)
    )
    return cloudwatch.Metric(
        namespace=METRIC_NAMESPACE,
        metric_name=metric,
        dimensions_map={
            MetricDimension.APP: stage.app_name,
            MetricDimension.STAGE: stage.stage,
            dimension: value,
        },
        statistic=SUM if metric in SUMMED else MAXIMUM,
        period=Duration.seconds(METRIC_SECONDS),
    )


def aws_metric(
    namespace: str, name: str, statistic: str, dimensions: dict[str, str]
) -> cloudwatch.Metric:
    """A metric that an AWS service writes every minute."""
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=Duration.minutes(1),
    )


def math(
    expression: str, using: dict[str, cloudwatch.IMetric], label: str
) -> cloudwatch.MathExpression:
    """A metric that is computed from others every minute."""
    return cloudwatch.MathExpression(
        expression=expression, using_metrics=using, label=label, period=Duration.minutes(1)
    )


# Both have no value before the first one: FILL repeats nothing there. Where one of two metrics is
# missing, metric math counts it as 0.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html


def shortfall(
    wanted: cloudwatch.IMetric, running: cloudwatch.IMetric, *, must_run: bool
) -> cloudwatch.MathExpression:
    """How far `running` is below `wanted`; with `must_run` also while both are missing."""
    expression = "FILL(wanted, REPEAT) - there" if must_run else "wanted - there"
    return math(expression, {"wanted": wanted, "there": running}, "Fewer than are wanted")


def silence(metric: cloudwatch.Metric) -> cloudwatch.MathExpression:
    """0 in a minute with a value, and more in a minute without one."""
    spoken = metric.with_(statistic=SAMPLES)
    return math("FILL(spoken, REPEAT) - spoken", {"spoken": spoken}, "Minutes of silence")
