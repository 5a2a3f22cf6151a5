"""The stack with the database, the buckets and the secrets."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.config.naming import Output
from stacks.config.stage import Stage
from stacks.data.application_secrets import ApplicationSecrets
from stacks.data.data_bucket import DataBucket
from stacks.data.database import Database
from stacks.data.log_bucket import LogBucket
from stacks.network.vpc import Network
from stacks.stage_stack import StageStack, known_key


def bucket_export(stage: Stage) -> str:
    """The name of the export with the bucket's ARN."""
    return f"{stage.names.prefix}-bucket-arn"


class DataStack(StageStack):
    """`database`, `bucket`, `log_bucket` and `secrets` of a stage."""

    def __init__(self, scope: Construct, stage: Stage, *, network: Network, key: kms.IKey) -> None:
        super().__init__(
            scope,
            stage.names.data_stack,
            stage,
            description=f"Database, buckets and secrets of {stage.names.prefix}",
        )
        key = known_key(self, key)
        self.database = Database(self, "Database", stage=stage, network=network, key=key)
        self.log_bucket = LogBucket(self, "LogBucket", stage=stage)
        self.bucket = DataBucket(self, "Bucket", stage=stage, key=key, logs=self.log_bucket)
        # With a fixed export name, because accepted findings of cdk-nag contain it.
        self.bucket_arn = self.export_value(self.bucket.bucket_arn, name=bucket_export(stage))
        self.secrets = ApplicationSecrets(self, "Secrets", stage=stage, key=key)

        endpoint = self.database.cluster.cluster_endpoint.socket_address
        self.output(Output.DATABASE_ENDPOINT, endpoint, "The database's writer")
        owner, user = self.database.owner_secret, self.database.user_secret
        self.output(Output.DATABASE_SECRET, owner.secret_arn, "Its owner's name and password")
        self.output(Output.DATABASE_USER_SECRET, user.secret_arn, "The same of API and workers")
        self.output(Output.BUCKET, self.bucket.bucket_name, "The stage's bucket")
        self.output(Output.API_KEY_SECRET, self.secrets.api_key.secret_arn, "The API key")
        self.output(Output.UI_SECRET, self.secrets.ui.secret_arn, "Credentials of the job pages")
