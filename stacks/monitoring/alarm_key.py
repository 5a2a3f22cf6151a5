"""The encryption key of the stage's alarms."""

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.config.stage import Stage
from stacks.stage_stack import removal_policy


class AlarmKey(kms.Key):
    """A key for the alarm topic only: its publishers can use no other key. 1 USD a month."""

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
                # Without a condition, as in AWS's own example: EventBridge gives KMS no account.
                # https://repost.aws/knowledge-center/sns-not-getting-eventbridge-notification
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key's own policy this means the key
            )
        )
