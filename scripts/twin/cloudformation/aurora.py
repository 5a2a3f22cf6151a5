"""The database cluster of a template, with a real Postgres behind its address."""

import json
import secrets
import string
from typing import Protocol

import boto3
from moto.cloudformation import parsing
from moto.rds.models import DBCluster, MasterUserSecret

from scripts.twin.cloudformation.api_resource import Answer, Properties, Recipe, call, made_by


class Server(Protocol):
    """A Postgres on this machine."""

    @property
    def port(self) -> int: ...

    def let_in(self, user: str, password: str, database: str) -> None: ...


HOST = "127.0.0.1"
# RDS takes every printable character but these, and 28 of them.
PASSWORD = sorted({*string.ascii_letters, *string.digits, *string.punctuation} - set("/@\"'"))
PASSWORD_LENGTH = 28


def register(server: Server | None) -> None:
    """From now on clusters are made by our recipe, and `server` answers at their address."""
    MasterUserSecret._generate_secret_string = _master  # type: ignore[assignment,method-assign]  # noqa: SLF001
    if server is not None:
        # What describe-db-clusters says must be where the service really connects to.
        DBCluster.endpoint = DBCluster.reader_endpoint = HOST  # type: ignore[assignment,method-assign]

    def make(_name: str, given: Properties) -> Answer:
        secret = given.get("MasterUserSecret", {})
        wanted = {**given, "MasterUserSecretKmsKeyId": secret.get("KmsKeyId", "")}
        if server is not None:
            wanted["Port"] = server.port
        made = call("rds", "create_db_cluster", wanted)["DBCluster"]
        secret_arn = made["MasterUserSecret"]["SecretArn"]
        if server is not None:
            master = boto3.client("secretsmanager").get_secret_value(SecretId=secret_arn)
            password = json.loads(master["SecretString"])["password"]
            server.let_in(given["MasterUsername"], password, given["DatabaseName"])
        return Answer(
            made["DBClusterIdentifier"],
            {
                "Endpoint.Address": made["Endpoint"],
                "Endpoint.Port": str(made["Port"]),
                "ReadEndpoint.Address": made["ReaderEndpoint"],
                "MasterUserSecret.SecretArn": secret_arn,
            },
        )

    recipe = Recipe("AWS::RDS::DBCluster", make, None, _remove)
    parsing.get_model_map()[recipe.kind] = made_by(recipe)


def _remove(ref: str, _given: Properties) -> None:
    client = boto3.client("rds")
    client.modify_db_cluster(DBClusterIdentifier=ref, DeletionProtection=False)
    client.delete_db_cluster(DBClusterIdentifier=ref, SkipFinalSnapshot=True)


def _master(secret: MasterUserSecret) -> str:
    """moto's own is the same for everybody, and of another user."""
    password = "".join(secrets.choice(PASSWORD) for _ in range(PASSWORD_LENGTH))
    return json.dumps({"username": secret.resource.master_username, "password": password})
