"""The role by which a pipeline deploys a stage, with credentials that last an hour."""

from aws_cdk import Aws, CfnOutput, Environment, RemovalPolicy, Stack, Tags
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.config.pipeline import ROLE_OUTPUT, Pipeline
from stacks.config.stage import Stage


class PipelineStack(Stack):
    """A role that one repository's jobs for one stage may assume, and that may only assume the
    roles of `cdk bootstrap` in this account and region.

    What those may do is decided by `cdk bootstrap`: by default its deployment may make anything.
    """

    def __init__(self, scope: Construct, stage: Stage, pipeline: Pipeline) -> None:
        super().__init__(
            scope,
            stage.names.delivery_stack,
            stack_name=stage.names.delivery_stack,
            description=f"The role of the pipeline that deploys {stage.names.prefix}",
            env=Environment(account=stage.account or None, region=stage.region or None),
            termination_protection=stage.is_protected,
        )
        Tags.of(self).add("app", stage.app_name)
        Tags.of(self).add("stage", stage.stage)
        role = iam.Role(
            self,
            "Role",
            description=f"Assumed by the pipeline that deploys {stage.names.prefix}",
            assumed_by=iam.WebIdentityPrincipal(
                self._provider(pipeline),
                {
                    "StringEquals": {
                        f"{pipeline.issuer}:aud": pipeline.audience,
                        f"{pipeline.issuer}:sub": pipeline.subject,
                    }
                },
            ),
        )
        iam.ManagedPolicy(
            self,
            "Policy",
            description=f"What the pipeline that deploys {stage.names.prefix} may do",
            roles=[role],
            statements=[
                iam.PolicyStatement(
                    sid="AssumeBootstrapRoles",
                    actions=["sts:AssumeRole"],
                    resources=[
                        f"arn:{Aws.PARTITION}:iam::{self.account}:role/{name}"
                        for name in pipeline.bootstrap_roles(self.account, self.region)
                    ],
                )
            ],
        )
        CfnOutput(
            self,
            ROLE_OUTPUT,
            value=role.role_arn,
            description="The variable AWS_ROLE_ARN of the pipeline.",
        )

    def _provider(self, pipeline: Pipeline) -> str:
        """The ARN of the account's OIDC provider, of which there can be one for each issuer."""
        if not pipeline.makes_provider:
            return f"arn:{Aws.PARTITION}:iam::{self.account}:oidc-provider/{pipeline.issuer}"
        provider = iam.OidcProviderNative(
            self,
            "Provider",
            url=f"https://{pipeline.issuer}",
            client_ids=[pipeline.audience],
            # Roles of other stages and of other projects may trust it too.
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        return provider.oidc_provider_arn
