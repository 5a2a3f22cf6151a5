"""Aurora PostgreSQL, Serverless v2."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from service import contract
from service.contract import DatabaseSecretField
from stacks.acknowledge import acknowledge
from stacks.config.stage import Stage
from stacks.data.login_secret import LoginSecret
from stacks.network.vpc import Network
from stacks.stage_stack import log_group

VERSION = rds.AuroraPostgresEngineVersion.VER_18_4
PORT = 5433  # not 5432, which scanners try first
OWNER = "moorage"
USER = "moorage_app"
DATABASE = "moorage"

PARAMETERS = {
    "rds.force_ssl": "1",
    "log_statement": "ddl",
    "log_min_duration_statement": "1000",  # ms; parameters of statements are not logged
    "log_parameter_max_length": "0",  # a parameter may be a job's payload
    "log_parameter_max_length_on_error": "0",
}


class Database(Construct):
    """A cluster that nothing can reach until its security group gets a rule.

    It has two users. RDS makes the owner's password, keeps it in Secrets Manager and changes it
    every seven days; only `migrate` gets it. API and worker connect as a user who may only read and
    write rows. `migrate` creates that user, with the password of `user_secret`, which a process
    reads at every connect.

    The cluster has a physical name, because its log group must exist before RDS writes to it, with
    encryption and a retention. A change that would replace the cluster fails because of that name,
    instead of leaving the data behind.
    """

    def __init__(
        self, scope: Construct, id: str, *, stage: Stage, network: Network, key: kms.IKey
    ) -> None:
        super().__init__(scope, id)
        self.stage = stage
        self.security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=network.vpc,
            description="The database; each ECS service adds its own rule",
            allow_all_outbound=False,
        )
        logs = log_group(self, "Logs", stage=stage, key=key, name=stage.names.database_log_group)
        engine = rds.DatabaseClusterEngine.aurora_postgres(version=VERSION)
        self.cluster = rds.DatabaseCluster(
            self,
            "Cluster",
            engine=engine,
            cluster_identifier=stage.names.database,
            credentials=rds.Credentials.from_username(OWNER, encryption_key=key),
            manage_master_user_password=True,
            default_database_name=DATABASE,
            port=PORT,
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
            security_groups=[self.security_group],
            parameter_group=rds.ParameterGroup(
                self, "Parameters", engine=engine, parameters=PARAMETERS
            ),
            serverless_v2_min_capacity=stage.database_min_acu,
            serverless_v2_max_capacity=stage.database_max_acu,
            writer=self._instance("Writer", key),
            readers=[self._instance("Reader", key)] if stage.database_reader else [],
            storage_encryption_key=key,
            backup=rds.BackupProps(retention=Duration.days(stage.database_backup_days)),
            copy_tags_to_snapshot=True,
            deletion_protection=stage.is_locked,
            removal_policy=RemovalPolicy.SNAPSHOT if stage.is_locked else RemovalPolicy.DESTROY,
            iam_authentication=False,  # nothing connects with a token of IAM
            cloudwatch_logs_exports=["postgresql"],
            monitoring_interval=Duration.seconds(60),
        )
        self.cluster.node.add_dependency(logs)
        self.user_secret = LoginSecret(
            self,
            "User",
            stage=stage,
            key=key,
            description=f"Database user of API and workers of {stage.names.prefix}",
            user=USER,
            fields=(DatabaseSecretField.USERNAME, DatabaseSecretField.PASSWORD),
        )
        self._acknowledge()

    def _acknowledge(self) -> None:
        acknowledge(
            self.cluster,
            "AWS's own policy for enhanced monitoring; it may only write to RDS's log group.",
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
            "AmazonRDSEnhancedMonitoringRole]",
        )
        acknowledge(
            self.cluster,
            "Aurora keeps continuous backups of its own, and can return to any second of "
            "database_backup_days. A plan of AWS Backup is the account's decision.",
            "NIST.800.53.R5-RDSInBackupPlan",
        )
        acknowledge(
            self.cluster,
            "Whoever connects asks Secrets Manager for a password that rotates; a second way in "
            "that nobody uses would only be one more to watch.",
            "AwsSolutions-RDS6",
        )
        acknowledge(
            self.user_secret,
            "`moor new-password` changes it, without a failed job; by itself that would take a "
            "function in the VPC which holds the owner's password.",
            "AwsSolutions-SMG4",
            "NIST.800.53.R5-SecretsManagerRotationEnabled",
        )
        if not self.stage.is_locked:
            acknowledge(
                self.cluster,
                "This stage's data goes with it: is_protected is false, or this is its first "
                "deployment and there is none.",
                "AwsSolutions-RDS10",
                "NIST.800.53.R5-RDSInstanceDeletionProtectionEnabled",
            )

    def _instance(self, id: str, key: kms.IKey) -> rds.IClusterInstance:
        return rds.ClusterInstance.serverless_v2(
            id,
            publicly_accessible=False,
            auto_minor_version_upgrade=True,
            enable_performance_insights=True,
            performance_insight_encryption_key=key,
            scale_with_writer=True if id == "Reader" else None,
        )

    @property
    def owner_secret(self) -> secretsmanager.ISecret:
        """The secret with the owner's name and password that RDS keeps."""
        assert self.cluster.secret is not None
        return self.cluster.secret

    def url(self, user: str) -> str:
        """The writer's URL for this user, without a password."""
        writer = self.cluster.cluster_endpoint.socket_address
        tls = f"verify-full&sslrootcert={contract.RDS_CA_FILE}"
        return (
            f"postgresql://{user}@{writer}/{DATABASE}"
            f"?sslmode={tls if self.stage.database_tls else 'prefer'}"
        )
