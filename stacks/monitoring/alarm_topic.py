"""The SNS topic for alarms and events, which sends e-mail if the stage has an address."""

from typing import Any

import jsii
from aws_cdk import Aws, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from stacks.config.stage import Stage


class AlarmTopic(sns.Topic):
    """An encrypted topic, TLS only, to which alarms and events of this account may publish."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, key: kms.IKey) -> None:
        super().__init__(
            scope,
            id,
            display_name=f"{stage.names.prefix} alarms",
            master_key=key,
            enforce_ssl=True,
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                    iam.ServicePrincipal("events.rds.amazonaws.com"),
                ],
                actions=["sns:Publish"],
                resources=[self.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        here = Stack.of(self)
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Events",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic_arn],
                # Only rules of this account and region: any rule could name this topic.
                conditions={
                    "ArnLike": {
                        "aws:SourceArn": here.format_arn(
                            service="events", resource="rule", resource_name="*"
                        )
                    }
                },
            )
        )
        if stage.alarm_email:
            self.add_subscription(subscriptions.EmailSubscription(stage.alarm_email))


@jsii.implements(events.IRuleTarget)
class ToTopic:
    """The topic as the target of a rule. The CDK's own target would let rules of any account
    publish."""

    def __init__(self, topic: sns.ITopic, message: events.RuleTargetInput) -> None:
        self.topic, self.message = topic, message

    def bind(self, rule: Any, id: str | None = None) -> events.RuleTargetConfig:
        return events.RuleTargetConfig(arn=self.topic.topic_arn, input=self.message)
