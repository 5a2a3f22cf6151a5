"""The metrics that scaling, alarms and the dashboard read."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from service.contract import METRIC_NAMESPACE, METRIC_SECONDS, QUEUE_NAME, Metric, MetricDimension
from stacks.config.stage import Stage

# By what a metric's values of one period are summed up. One process writes one value a minute.
MAXIMUM, SUM, AVERAGE, SAMPLES = "Maximum", "Sum", "Average", "SampleCount"
SUMMED = {
    Metric.JOBS_STARTED,
    Metric.JOBS_FINISHED,
    Metric.JOBS_FAILED,
    Metric.JOBS_RETRIED,
    Metric.DEAD_LETTERS,
}


def queue_metric(stage: Stage, metric: Metric) -> cloudwatch.Metric:
    """What the service writes about this stage's queue, minute by minute."""
    return cloudwatch.Metric(
        namespace=METRIC_NAMESPACE,
        metric_name=metric,
        dimensions_map={
            MetricDimension.APP: stage.app_name,
            MetricDimension.STAGE: stage.stage,
            MetricDimension.QUEUE: QUEUE_NAME,
        },
        statistic=SUM if metric in SUMMED else MAXIMUM,
        period=Duration.seconds(METRIC_SECONDS),
    )


def aws_metric(
    namespace: str, name: str, statistic: str, dimensions: dict[str, str]
) -> cloudwatch.Metric:
    """What an AWS service writes, by the minute."""
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
    """A metric made of others, by the minute."""
    return cloudwatch.MathExpression(
        expression=expression, using_metrics=using, label=label, period=Duration.minutes(1)
    )


# Both begin only after a minute with a value: FILL repeats none before the first, and where one of
# two is missing metric math takes it for 0.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html


def shortfall(
    wanted: cloudwatch.IMetric, there: cloudwatch.IMetric, *, must_run: bool
) -> cloudwatch.MathExpression:
    """By how much `there` is below `wanted`; where one `must_run`, also while both are silent."""
    expression = "FILL(wanted, REPEAT) - there" if must_run else "wanted - there"
    return math(expression, {"wanted": wanted, "there": there}, "Fewer than are wanted")


def silence(metric: cloudwatch.Metric) -> cloudwatch.MathExpression:
    """0 in a minute with a value, and more in one without."""
    spoken = metric.with_(statistic=SAMPLES)
    return math("FILL(spoken, REPEAT) - spoken", {"spoken": spoken}, "Minutes of silence")
