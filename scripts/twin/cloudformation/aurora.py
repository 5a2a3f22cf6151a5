"""The database cluster of a template, with a real Postgres at its address."""

import json
import secrets
import string
from typing import Protocol

from moto.cloudformation import parsing
from moto.rds.models import DBCluster, MasterUserSecret

from scripts.twin.cloudformation.api_resource import (
    Answer,
    Properties,
    Recipe,
    call,
    client,
    made_by,
)


class Server(Protocol):
    """A Postgres on this machine."""

    @property
    def port(self) -> int: ...

    def ensure_database(self, user: str, password: str, database: str) -> None: ...


HOST = "127.0.0.1"
# RDS makes passwords of 28 printable characters, without these four.
PASSWORD = sorted({*string.ascii_letters, *string.digits, *string.punctuation} - set("/@\"'"))
PASSWORD_LENGTH = 28


def register(server: Server | None) -> None:
    """Create clusters by our recipe from now on; `server` answers at their address."""
    MasterUserSecret._generate_secret_string = _master  # type: ignore[assignment,method-assign]  # noqa: SLF001
    if server is not None:
        # describe-db-clusters must return the address to which the service really connects.
        DBCluster.endpoint = DBCluster.reader_endpoint = HOST  # type: ignore[assignment,method-assign]

    def make(_name: str, given: Properties) -> Answer:
        secret = given.get("MasterUserSecret", {})
        wanted = {**given, "MasterUserSecretKmsKeyId": secret.get("KmsKeyId", "")}
        if server is not None:
            wanted["Port"] = server.port
        made = call("rds", "create_db_cluster", wanted)["DBCluster"]
        secret_arn = made["MasterUserSecret"]["SecretArn"]
        if server is not None:
            master = client("secretsmanager").get_secret_value(SecretId=secret_arn)
            password = json.loads(master["SecretString"])["password"]
            server.ensure_database(given["MasterUsername"], password, given["DatabaseName"])
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
    rds = client("rds")
    rds.modify_db_cluster(DBClusterIdentifier=ref, DeletionProtection=False)
    rds.delete_db_cluster(DBClusterIdentifier=ref, SkipFinalSnapshot=True)


def _master(secret: MasterUserSecret) -> str:
    """The master secret. moto's own has the same password for everybody, and another user."""
    password = "".join(secrets.choice(PASSWORD) for _ in range(PASSWORD_LENGTH))
    return json.dumps({"username": secret.resource.master_username, "password": password})
