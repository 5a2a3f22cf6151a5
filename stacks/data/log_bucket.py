"""The bucket that keeps the access logs of the stage's buckets and of the balancer."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.acknowledge import acknowledge
from stacks.config.stage import Stage
from stacks.stage_stack import removal_policy

BALANCER_LOGS_PREFIX = "balancer"
UNFINISHED_UPLOAD_DAYS = 7


class LogBucket(s3.Bucket):
    """Access logs of buckets and of the balancer, for as long as the stage keeps its logs."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:
        super().__init__(
            scope,
            id,
            encryption=s3.BucketEncryption.S3_MANAGED,  # a load balancer supports no other
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            removal_policy=removal_policy(stage),
            auto_delete_objects=not stage.is_protected,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(stage.log_retention_days),
                    noncurrent_version_expiration=Duration.days(1),
                    abort_incomplete_multipart_upload_after=Duration.days(UNFINISHED_UPLOAD_DAYS),
                )
            ],
        )
        acknowledge(
            self,
            "Logs that can be lost with their region, and that the balancer can only write with "
            "the bucket's own encryption.",
            "NIST.800.53.R5-S3BucketReplicationEnabled",
            "NIST.800.53.R5-S3DefaultEncryptionKMS",
        )
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[
                    self.arn_for_objects(f"{BALANCER_LOGS_PREFIX}/AWSLogs/{Aws.ACCOUNT_ID}/*")
                ],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )

    def seen_from(self, scope: Construct, id: str, prefix: str) -> s3.IBucket:
        """This bucket for the access logs of bucket `id` in `scope`.

        The CDK names the logged bucket in the policy of this one. A bucket of a later stack cannot
        be named there, because the stacks would depend on each other: its account and prefix are.
        """
        if Stack.of(scope) is Stack.of(self):
            return self
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("logging.s3.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[self.arn_for_objects(f"{prefix}*")],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        return s3.Bucket.from_bucket_name(scope, f"{id}Logs", self.bucket_name)
