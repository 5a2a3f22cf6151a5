"""A project's own secrets in a container, and what the execution role may read of them."""

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from stacks.acknowledge import acknowledge, arn_as_found
from stacks.config.processes import EcsProcess
from stacks.config.secrets import SECRETS_MANAGER, SSM, Place, secrets_of
from stacks.config.stage import Stage

# Of each service: a name for its statements, the call that reads a value, and the key of the
# encryption context that holds the value's ARN.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
# https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
KINDS = {
    SECRETS_MANAGER: ("OwnSecrets", "secretsmanager:GetSecretValue", "SecretARN"),
    SSM: ("OwnParameters", "ssm:GetParameters", "PARAMETER_ARN"),
}


def project_secrets(
    scope: Construct, ecs_process: EcsProcess, stage: Stage
) -> dict[str, ecs.Secret]:
    """The secrets that ECS reads when it starts the container, by the name of their variable.

    No stack makes them: they would have no value, and would be deleted with the stack.
    """
    return {
        name: _known(scope, name, secret.place(stage.names))
        for name, secret in secrets_of(stage.secrets, ecs_process.process, ecs_process.pool).items()
    }


def project_secret_statements(
    scope: Construct, ecs_process: EcsProcess, stage: Stage
) -> list[iam.PolicyStatement]:
    """The right to read exactly these secrets.

    Those that `moor secrets` makes need no right to a key: they are encrypted with AWS's own key of
    Secrets Manager, which serves whoever may read the secret. Any other secret may have a key of
    its own, which may then be used to read that secret and nothing else.
    """
    statements = []
    for service, (kind, action, context) in KINDS.items():
        found = {
            _arn(scope, place): secret.is_own
            for secret in secrets_of(stage.secrets, ecs_process.process, ecs_process.pool).values()
            if (place := secret.place(stage.names)).service == service
        }
        if found:
            statements.append(
                iam.PolicyStatement(sid=f"Read{kind}", actions=[action], resources=sorted(found))
            )
        if others := sorted(arn for arn, is_own in found.items() if not is_own):
            regions = {arn.split(":")[3] for arn in others}
            conditions = {
                f"kms:EncryptionContext:{context}": others,
                "kms:ViaService": sorted(f"{service}.{each}.{Aws.URL_SUFFIX}" for each in regions),
            }
            statements.append(
                iam.PolicyStatement(
                    sid=f"Decrypt{kind}",
                    actions=["kms:Decrypt"],
                    resources=sorted({_keys_beside(arn) for arn in others}),
                    conditions={"StringLike": conditions},
                )
            )
    return statements


def named_secrets(scope: Construct, stage: Stage) -> list[str]:
    """The ARNs of the secrets in Secrets Manager that stages.toml names and `moor` did not make."""
    places = {each.place(stage.names) for each in stage.secrets if not each.is_own}
    return sorted(_arn(scope, place) for place in places if place.service == SECRETS_MANAGER)


def acknowledge_keys(
    scope: Construct, policy: iam.ManagedPolicy, ecs_process: EcsProcess, stage: Stage
) -> None:
    """Accept that the policy names all keys (`key/*`), as `project_secret_statements` does."""
    for secret in secrets_of(stage.secrets, ecs_process.process, ecs_process.pool).values():
        place = secret.place(stage.names)
        keys = _keys_beside(place.id) if place.is_arn else f"{arn_as_found(scope, 'kms')}:key/*"
        if not secret.is_own:
            acknowledge(
                policy,
                "Who made the secret has chosen its key. A condition holds it to the secrets that "
                "stages.toml names.",
                f"AwsSolutions-IAM5[Resource::{keys}]",
            )


def _known(scope: Construct, name: str, place: Place) -> ecs.Secret:
    if place.service == SSM:
        parameter = ssm.StringParameter.from_secure_string_parameter_attributes(
            scope, name, parameter_name=place.id
        )
        return ecs.Secret.from_ssm_parameter(parameter)
    # A name is given to ECS as an ARN without its last six characters, which nobody knows here. ECS
    # finds the secret so, and not by the name alone: https://github.com/aws/aws-cdk/pull/11042
    known = (
        secretsmanager.Secret.from_secret_complete_arn(scope, name, place.id)
        if place.is_arn
        else secretsmanager.Secret.from_secret_name_v2(scope, name, place.id)
    )
    return ecs.Secret.from_secrets_manager(known, place.field or None)


def _arn(scope: Construct, place: Place) -> str:
    """The ARN for a policy, with `?` for each character that Secrets Manager has added."""
    if place.is_arn:
        return place.id
    here = Stack.of(scope)
    if place.service == SSM:
        name = place.id.removeprefix("/")
        return here.format_arn(service="ssm", resource="parameter", resource_name=name)
    return here.format_arn(
        service="secretsmanager", resource="secret", resource_name=f"{place.id}-??????",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )  # fmt: skip


def _keys_beside(arn: str) -> str:
    """All keys in the account and region of this secret or parameter."""
    partition, _, region, account = arn.split(":")[1:5]
    return f"arn:{partition}:kms:{region}:{account}:key/*"
