"""A private bucket."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.acknowledge import acknowledge
from stacks.config.stage import Stage
from stacks.data.log_bucket import LogBucket
from stacks.stage_stack import key_statement, removal_policy

OLD_VERSION_DAYS = 30
UNFINISHED_UPLOAD_DAYS = 7


class PrivateBucket(s3.Bucket):
    """A private, encrypted bucket, TLS only, that keeps old versions for 30 days.

    Who reads and writes it is logged in the bucket `logs`, under `logs_prefix`: by default the ids
    of `scope` and of this bucket.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        key: kms.IKey,
        logs: LogBucket,
        logs_prefix: str = "",
    ) -> None:
        prefix = logs_prefix or f"{scope.node.id}/{id}/"
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
            server_access_logs_bucket=logs.seen_from(scope, id, prefix),
            server_access_logs_prefix=prefix,
            removal_policy=removal_policy(stage),
            auto_delete_objects=not stage.is_protected,
            lifecycle_rules=[
                s3.LifecycleRule(
                    noncurrent_version_expiration=Duration.days(OLD_VERSION_DAYS),
                    expired_object_delete_marker=True,
                    abort_incomplete_multipart_upload_after=Duration.days(UNFINISHED_UPLOAD_DAYS),
                )
            ],
        )
        self._key = key
        acknowledge(
            self,
            "Versions protect against mistakes; a copy in another region doubles the price and is "
            "the owner's decision.",
            "NIST.800.53.R5-S3BucketReplicationEnabled",
        )
        acknowledge(
            self,
            "The log bucket's own policy lets the access logs in.",
            "Annotation::@aws-cdk/aws-s3:accessLogsPolicyNotAdded",
        )

    def allow(self, rights: iam.ManagedPolicy, *actions: str, under: str = "") -> None:
        """Lets whoever has this policy do `actions` ("s3:GetObject") with the objects under a
        prefix, and use the key for it."""
        rights.add_statements(
            iam.PolicyStatement(
                actions=list(actions), resources=[self.arn_for_objects(f"{under}*")]
            ),
            key_statement(self._key, None, "s3", ["kms:Decrypt", "kms:GenerateDataKey"]),
        )
        resource = ".".join(Stack.of(self).resolve(self.bucket_arn)["Fn::GetAtt"])
        acknowledge(
            rights,
            "The objects under one prefix of a bucket.",
            f"AwsSolutions-IAM5[Resource::<{resource}>/{under}*]",
        )
