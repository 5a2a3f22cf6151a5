"""The right to send with Amazon SES, if `email_from` names a sender."""

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.acknowledge import arn_as_found
from stacks.config.stage import Stage
from stacks.domains import Right


def worker_rights(scope: Construct, stage: Stage) -> list[Right]:
    if not stage.email_from:
        return []
    statement = iam.PolicyStatement(
        sid="SendEmail",
        actions=["ses:SendEmail"],
        # The identity may be the address or its domain; the condition limits the sender.
        resources=[Stack.of(scope).format_arn(service="ses", resource="identity/*")],
        conditions={"StringEquals": {"ses:FromAddress": stage.email_from}},
    )
    finding = f"AwsSolutions-IAM5[Resource::{arn_as_found(scope, 'ses')}:identity/*]"
    reason = "The identity may be the address or its domain; a condition holds the sender."
    return [Right(statement, {finding: reason})]


def endpoints(stage: Stage) -> dict[str, ec2.InterfaceVpcEndpointAwsService]:
    return {"Email": ec2.InterfaceVpcEndpointAwsService.EMAIL} if stage.email_from else {}
