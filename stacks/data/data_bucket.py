"""The stage's bucket."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from service.contract import LARGE_PAYLOAD_DAYS, PAYLOADS_PREFIX
from stacks.acknowledge import acknowledge
from stacks.config.stage import Stage
from stacks.domains import lifecycle_rules
from stacks.stage_stack import removal_policy

BUCKET_LOGS_PREFIX = "bucket/"
OLD_VERSION_DAYS = 30
UNFINISHED_UPLOAD_DAYS = 7


class DataBucket(s3.Bucket):
    """A private, encrypted bucket, TLS only, that keeps old versions for 30 days and deletes
    payloads after a while."""

    def __init__(
        self, scope: Construct, id: str, *, stage: Stage, key: kms.IKey, logs: s3.IBucket
    ) -> None:
        super().__init__(
            scope,
            id,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            server_access_logs_bucket=logs,
            server_access_logs_prefix=BUCKET_LOGS_PREFIX,
            removal_policy=removal_policy(stage),
            auto_delete_objects=not stage.is_protected,
            lifecycle_rules=[
                s3.LifecycleRule(
                    noncurrent_version_expiration=Duration.days(OLD_VERSION_DAYS),
                    expired_object_delete_marker=True,
                    abort_incomplete_multipart_upload_after=Duration.days(UNFINISHED_UPLOAD_DAYS),
                ),
                s3.LifecycleRule(
                    prefix=PAYLOADS_PREFIX, expiration=Duration.days(LARGE_PAYLOAD_DAYS)
                ),
                *lifecycle_rules(stage),
            ],
        )
        acknowledge(
            self,
            "Versions protect against mistakes; a copy in another region doubles the price and is "
            "the owner's decision.",
            "NIST.800.53.R5-S3BucketReplicationEnabled",
        )
