"""The stage's bucket."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from constructs import Construct

from service.contract import LARGE_PAYLOAD_DAYS, PAYLOADS_PREFIX
from stacks.config.stage import Stage
from stacks.data.log_bucket import LogBucket
from stacks.data.private_bucket import PrivateBucket

BUCKET_LOGS_PREFIX = "bucket/"


class DataBucket(PrivateBucket):
    """The private bucket that API and workers share; it deletes payloads after a while."""

    def __init__(
        self, scope: Construct, id: str, *, stage: Stage, key: kms.IKey, logs: LogBucket
    ) -> None:
        super().__init__(scope, id, stage=stage, key=key, logs=logs, logs_prefix=BUCKET_LOGS_PREFIX)
        self.add_lifecycle_rule(
            prefix=PAYLOADS_PREFIX, expiration=Duration.days(LARGE_PAYLOAD_DAYS)
        )
