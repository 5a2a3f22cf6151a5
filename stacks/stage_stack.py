"""The base of the three stacks of a stage, and what they share."""

from aws_cdk import Aws, CfnOutput, Environment, Fn, RemovalPolicy, Stack, Tags
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.config.stage import RETENTION_DAYS, Stage

RETENTION = dict(
    zip(
        RETENTION_DAYS,
        (
            logs.RetentionDays.ONE_DAY,
            logs.RetentionDays.THREE_DAYS,
            logs.RetentionDays.FIVE_DAYS,
            logs.RetentionDays.ONE_WEEK,
            logs.RetentionDays.TWO_WEEKS,
            logs.RetentionDays.ONE_MONTH,
            logs.RetentionDays.TWO_MONTHS,
            logs.RetentionDays.THREE_MONTHS,
            logs.RetentionDays.FOUR_MONTHS,
            logs.RetentionDays.FIVE_MONTHS,
            logs.RetentionDays.SIX_MONTHS,
            logs.RetentionDays.ONE_YEAR,
            logs.RetentionDays.THIRTEEN_MONTHS,
            logs.RetentionDays.EIGHTEEN_MONTHS,
            logs.RetentionDays.TWO_YEARS,
            logs.RetentionDays.THREE_YEARS,
            logs.RetentionDays.FIVE_YEARS,
            logs.RetentionDays.SIX_YEARS,
            logs.RetentionDays.SEVEN_YEARS,
            logs.RetentionDays.EIGHT_YEARS,
            logs.RetentionDays.NINE_YEARS,
            logs.RetentionDays.TEN_YEARS,
        ),
        strict=True,
    )
)


class StageStack(Stack):
    """A stack of one stage, with termination protection if the stage is protected."""

    def __init__(self, scope: Construct, name: str, stage: Stage, *, description: str) -> None:
        self.stage = stage
        super().__init__(
            scope,
            name,
            stack_name=name,
            description=description,
            env=Environment(account=stage.account or None, region=stage.region or None),
            termination_protection=stage.is_locked,
        )
        self._outputs = Construct(self, "Outputs")
        Tags.of(self).add("app", stage.app_name)
        Tags.of(self).add("stage", stage.stage)

    @property
    def availability_zones(self) -> list[str]:
        """The zones by position, which the deploy resolves; by default the CDK would ask AWS during
        synth if the region is given."""
        zones = Fn.get_azs()
        return [Fn.select(index, zones) for index in range(self.stage.availability_zones)]

    def output(self, key: str, value: str, description: str) -> None:
        """Add an output for people and operator commands, by a key of `naming.py`."""
        CfnOutput(self._outputs, key, value=value, description=description).override_logical_id(key)


def removal_policy(stage: Stage) -> RemovalPolicy:
    """The removal policy of resources with data: a protected stage keeps them, unless their first
    deploy fails."""
    if stage.is_protected:
        return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    return RemovalPolicy.DESTROY


def known_key(scope: StageStack, key: kms.IKey) -> kms.IKey:
    """The network stack's key for a later stack, imported so that grants do not change its policy.

    A grant would write a role of the later stack into the key's policy, and the stacks would depend
    on each other.
    """
    return kms.Key.from_key_arn(scope, "Key", key.key_arn)


def key_statement(
    key: kms.IKey, sid: str | None, service: str, actions: list[str]
) -> iam.PolicyStatement:
    """The right to use the key, only through the AWS service `service`."""
    return iam.PolicyStatement(
        sid=sid,
        actions=actions,
        resources=[key.key_arn],
        conditions={"StringEquals": {"kms:ViaService": f"{service}.{Aws.REGION}.{Aws.URL_SUFFIX}"}},
    )


def log_group(
    scope: Construct, id: str, *, stage: Stage, key: kms.IKey, name: str | None = None
) -> logs.LogGroup:
    """An encrypted log group with the stage's retention."""
    return logs.LogGroup(
        scope,
        id,
        log_group_name=name,
        encryption_key=key,
        retention=RETENTION[stage.log_retention_days],
        removal_policy=removal_policy(stage),
    )
