"""A secret with a user's name and a password that is made once."""

import json

from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from stacks.config.stage import Stage
from stacks.stage_stack import removal_policy

CHARACTERS = 40


class LoginSecret(secretsmanager.Secret):
    """The secret is JSON, in which `fields` names the user and the password. 0.40 USD a month."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        key: kms.IKey,
        description: str,
        user: str,
        fields: tuple[str, str],
    ) -> None:
        of_user, of_password = fields
        super().__init__(
            scope,
            id,
            description=description,
            encryption_key=key,
            removal_policy=removal_policy(stage),
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({of_user: user}),
                generate_string_key=of_password,
                password_length=CHARACTERS,
                exclude_punctuation=True,
            ),
        )
