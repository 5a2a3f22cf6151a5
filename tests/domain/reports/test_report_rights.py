"""The lifecycle rule for reports, in the templates of a stage."""

from tests.stacks.templates import of_stage


def test_a_report_ends_after_thirty_days_in_the_bucket() -> None:
    rules = of_stage("dev").one("AWS::S3::Bucket", "Bucket").get("LifecycleConfiguration.Rules")
    assert {"Prefix": "results/reports/", "ExpirationInDays": 30, "Status": "Enabled"} in rules
