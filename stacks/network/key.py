"""The stage's encryption key, and that of its alarms."""

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.config.stage import Stage
from stacks.stage_stack import removal_policy


class EncryptionKey(kms.Key):
    """One key, rotated every year, for all the stage keeps; 1 USD a month."""

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


class AlarmKey(kms.Key):
    """The key of the alarm topic alone, so that what publishes there can use no other; 1 USD."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:
        super().__init__(
            scope,
            id,
            description=f"Alarms of {stage.names.prefix} on their way",
            enable_key_rotation=True,
            removal_policy=removal_policy(stage),
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                    iam.ServicePrincipal("events.rds.amazonaws.com"),
                ],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key's own policy this means the key
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(
                # Without a condition, as in AWS's own example: EventBridge names no account to KMS.
                # https://repost.aws/knowledge-center/sns-not-getting-eventbridge-notification
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key's own policy this means the key
            )
        )
