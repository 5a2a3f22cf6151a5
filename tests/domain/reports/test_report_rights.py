"""The lifecycle rule for reports, in the templates of a stage."""

from tests.stacks.templates import deployed, stage_of


def test_a_report_ends_after_thirty_days_in_the_bucket() -> None:
    bucket = deployed(stage_of("dev")).one("AWS::S3::Bucket", "Bucket")
    rules = bucket.get("LifecycleConfiguration.Rules")
    assert {"Prefix": "results/reports/", "ExpirationInDays": 30, "Status": "Enabled"} in rules
