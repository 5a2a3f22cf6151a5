"""The credentials of the API's callers: the API key, and the password of the job pages."""

from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from service.contract import UiSecretField
from stacks.acknowledge import acknowledge
from stacks.config.stage import Stage
from stacks.data.login_secret import CHARACTERS, LoginSecret
from stacks.stage_stack import removal_policy

UI_USERNAME = "operator"


class ApplicationSecrets(Construct):
    """The secrets `api_key` (plain text) and `ui` (JSON), generated once; 0.40 USD a month each.

    An ECS task gets them when it starts. Nothing rotates them by itself, because callers need the
    new values. `moor keys` changes the API key; two keys are valid meanwhile.
    """

    def __init__(self, scope: Construct, id: str, *, stage: Stage, key: kms.IKey) -> None:
        super().__init__(scope, id)
        self.api_key = secretsmanager.Secret(
            self,
            "ApiKey",
            description=f"API key of {stage.names.prefix}",
            encryption_key=key,
            removal_policy=removal_policy(stage),
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=CHARACTERS, exclude_punctuation=True
            ),
        )
        self.ui = LoginSecret(
            self,
            "Ui",
            stage=stage,
            key=key,
            description=f"User name and password of the job pages of {stage.names.prefix}",
            user=UI_USERNAME,
            fields=(UiSecretField.USERNAME, UiSecretField.PASSWORD),
        )
        acknowledge(
            self,
            "Callers hold these: a change is agreed with them, and needs a new deployment. The "
            "database's password, which nobody else holds, rotates by itself.",
            "AwsSolutions-SMG4",
            "NIST.800.53.R5-SecretsManagerRotationEnabled",
        )
