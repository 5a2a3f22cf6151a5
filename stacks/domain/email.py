"""The right to send with Amazon SES, if `email_from` names a sender."""

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

from stacks.acknowledge import acknowledge, arn_as_found
from stacks.domains import Domain


def resources(domain: Domain) -> None:
    if not domain.stage.email_from:
        return
    domain.network.add_endpoint(ec2.InterfaceVpcEndpointAwsService.EMAIL)
    domain.workers.grant(
        iam.PolicyStatement(
            sid="SendEmail",
            actions=["ses:SendEmail"],
            # The identity may be the address or its domain; the condition limits the sender.
            resources=[Stack.of(domain).format_arn(service="ses", resource="identity/*")],
            conditions={"StringEquals": {"ses:FromAddress": domain.stage.email_from}},
        )
    )
    acknowledge(
        domain.workers.rights,
        "The identity may be the address or its domain; a condition holds the sender.",
        f"AwsSolutions-IAM5[Resource::{arn_as_found(domain, 'ses')}:identity/*]",
    )
