"""Deletes old reports from the stage's bucket."""

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3

from service.domain.reports.contract import REPORT_DAYS, REPORTS_PREFIX
from stacks.config.stage import Stage


def lifecycle_rules(stage: Stage) -> list[s3.LifecycleRule]:
    return [s3.LifecycleRule(prefix=REPORTS_PREFIX, expiration=Duration.days(REPORT_DAYS))]
