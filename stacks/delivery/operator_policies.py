"""Three managed policies for people who operate a stage, attached to nobody."""

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.acknowledge import acknowledge
from stacks.config.operator_rights import (
    ANY,
    IAM,
    LOGS,
    NAMED_SECRETS,
    POOL_LOGS,
    RIGHTS,
    Level,
    Right,
)
from stacks.config.stage import Stage
from stacks.data.data_stack import DataStack


class OperatorPolicies(Construct):
    """`policies` by level, with the rights of `operator_rights.py` on this stage only."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        key: kms.IKey,
        data: DataStack,
        roles: Sequence[iam.IRole],
        policies: Sequence[iam.IManagedPolicy],
        named_secrets: Sequence[str],
    ) -> None:
        super().__init__(scope, id)
        names = stage.names
        self._placeholders = {
            "partition": Aws.PARTITION,
            "region": Aws.REGION,
            "account": Aws.ACCOUNT_ID,
            "url_suffix": Aws.URL_SUFFIX,
            "prefix": names.prefix,
            "cluster": names.cluster,
            "database": names.database,
            "data_stack": names.data_stack,
            "service_stack": names.service_stack,
            "key": key.key_arn,
            "api_key_secret": data.secrets.api_key.secret_arn,
            "database_secret": data.database.owner_secret.secret_arn,
            "user_secret": data.database.user_secret.secret_arn,
            "secrets": names.secret(""),
        }
        path = stage.names.pools_path
        self._lists = {
            "{roles}": [role.role_arn for role in roles],
            "{policies}": [policy.managed_policy_arn for policy in policies],
            NAMED_SECRETS: list(named_secrets),
            POOL_LOGS: [f"{LOGS}{pool.name}:*" for pool in stage.pools],
        }
        if stage.pools:
            self._lists["{roles}"].append(f"{IAM}role{path}*")
            self._lists["{policies}"].append(f"{IAM}policy{path}*")
        self.policies = {level: self._policy(level, stage) for level in Level}

    def _policy(self, level: Level, stage: Stage) -> iam.ManagedPolicy:
        rights = [right for right in RIGHTS if right.level is level]
        policy = iam.ManagedPolicy(
            self,
            level.capitalize(),
            description=f"{level}: for people who operate {stage.names.prefix}",
            statements=[self._statement(right) for right in rights],
        )
        named = (each for right in rights for on in right.on for each in self._lists.get(on, [on]))
        for resource in dict.fromkeys(named):
            if "*" in resource:
                acknowledge(
                    policy,
                    "Calls that know no resource, or end at this stage by a condition."
                    if resource in ANY
                    else "What is behind the star is made while the stage runs, and ends with it.",
                    f"AwsSolutions-IAM5[Resource::{self._as_shown(resource)}]",
                )
        return policy

    def _statement(self, right: Right) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid=right.sid,
            actions=list(right.actions),
            resources=[one for each in right.on for one in self._resources(each)],
            conditions={
                operator: {key: self._filled(value) for key, value in values.items()}
                for operator, values in right.conditions.items()
            },
        )

    def _resources(self, resource: str) -> list[str]:
        return [self._filled(each) for each in self._lists.get(resource, [resource])]

    def _filled(self, text: str) -> str:
        # Not `format`, because IAM's own variables have braces too.
        for name, value in self._placeholders.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def _as_shown(self, resource: str) -> str:
        """The ARN as cdk-nag shows it, with pseudo parameters in angle brackets."""
        shown = {
            "{partition}": "<AWS::Partition>",
            "{region}": "<AWS::Region>",
            "{account}": "<AWS::AccountId>",
        }
        for word, value in shown.items():
            resource = resource.replace(word, value)
        return self._filled(resource)
