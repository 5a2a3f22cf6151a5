"""Deletes old reports from the stage's bucket."""

from aws_cdk import Duration

from service.domain.reports.contract import REPORT_DAYS, REPORTS_PREFIX
from stacks.domains import Domain


def resources(domain: Domain) -> None:
    domain.data.bucket.add_lifecycle_rule(
        prefix=REPORTS_PREFIX, expiration=Duration.days(REPORT_DAYS)
    )
