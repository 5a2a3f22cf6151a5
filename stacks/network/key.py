"""The stage's encryption key."""

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.config.stage import Stage
from stacks.stage_stack import removal_policy


class EncryptionKey(kms.Key):
    """One key for everything that the stage stores, rotated every year; 1 USD a month."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:
        super().__init__(
            scope,
            id,
            description=f"What {stage.names.prefix} keeps: database, bucket, secrets, logs",
            enable_key_rotation=True,
            removal_policy=removal_policy(stage),
        )
        here = Stack.of(self)
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.{Aws.URL_SUFFIX}")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "kms:Describe*"],
                resources=["*"],  # in a key's own policy this means the key
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": here.format_arn(
                            service="logs", resource="*"
                        )
                    }
                },
            )
        )
