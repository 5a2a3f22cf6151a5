"""Alarms on Aurora, by role and not by instance: after a failover they watch the new writer."""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_rds as rds
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.alarms import Alarms, Missing
from stacks.checks import CONNECTION_SHARE, max_connections
from stacks.config import Stage
from stacks.database import Database
from stacks.metrics import MAXIMUM, SUM, aws_metric

# PostgreSQL stops writing at 2^31; autovacuum should have acted at 200 million.
TRANSACTION_AGE = 1_000_000_000
REPLICA_LAG_MS = 1000


class DatabaseAlarms(Alarms):
    """Is the database at its limits, or does it change hands?"""

    def __init__(
        self, scope: Construct, id: str, *, stage: Stage, topic: sns.ITopic, database: Database
    ) -> None:
        super().__init__(scope, id, stage=stage, topic=topic)
        cluster = database.cluster

        def writer(name: str, statistic: str = MAXIMUM) -> cloudwatch.Metric:
            return aws_metric(
                "AWS/RDS",
                name,
                statistic,
                {"DBClusterIdentifier": cluster.cluster_identifier, "Role": "WRITER"},
            )

        self.add(
            "DatabaseCapacity",
            "The database works at its largest size: raise database_max_acu.",
            writer("ACUUtilization"),
            above=90,
            minutes=10,
            missing=Missing.IS_FINE,
        )
        self.add(
            "DatabaseConnections",
            "More connections than were planned for.",
            writer("DatabaseConnections"),
            above=int(CONNECTION_SHARE * max_connections(stage)),
            minutes=5,
            missing=Missing.IS_FINE,
        )
        self.add(
            "DatabaseDeadlocks",
            "Transactions lock each other out.",
            writer("Deadlocks", SUM),
            above=0,
            minutes=3,
            of=5,
            missing=Missing.IS_FINE,
        )
        self.add(
            "DatabaseTransactionAge",
            "Old row versions are not cleaned up; at two thousand million the database stops.",
            writer("MaximumUsedTransactionIDs"),
            above=TRANSACTION_AGE,
            minutes=5,
            missing=Missing.IS_FINE,
        )
        if stage.database_reader:
            self.add(
                "DatabaseReplicaLag",
                "The reader is behind: a failover would take longer.",
                aws_metric(
                    "AWS/RDS",
                    "AuroraReplicaLagMaximum",
                    MAXIMUM,
                    {"DBClusterIdentifier": cluster.cluster_identifier},
                ),
                above=REPLICA_LAG_MS,
                minutes=5,
                missing=Missing.IS_TROUBLE,  # no reader, no figure
            )
        rds.CfnEventSubscription(
            self,
            "DatabaseEvents",
            sns_topic_arn=topic.topic_arn,
            source_type="db-cluster",
            source_ids=[cluster.cluster_identifier],
            event_categories=["failover", "failure", "maintenance", "notification"],
        )
