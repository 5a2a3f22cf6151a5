"""Alarms on Aurora, by role, so that they watch the new writer after a failover."""

from aws_cdk import aws_rds as rds
from aws_cdk import aws_sns as sns
from aws_cdk.aws_cloudwatch import Metric
from constructs import Construct

from stacks.config.connections import CONNECTION_SHARE, max_connections
from stacks.config.stage import Stage
from stacks.monitoring.alarms import Alarms, Missing
from stacks.monitoring.metrics import MAXIMUM, SUM, aws_metric

# PostgreSQL stops writing at 2^31; autovacuum should have acted at 200 million.
TRANSACTION_AGE = 1_000_000_000
REPLICA_LAG_MS = 1000
BUSY_PERCENT = 90  # of what the database may use


class DatabaseAlarms(Alarms):
    """Alarms for a database at its limits, and for failovers."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        topic: sns.ITopic,
        cluster: rds.IDatabaseCluster,
    ) -> None:
        super().__init__(scope, id, stage=stage, topic=topic)

        def instance(name: str, statistic: str = MAXIMUM, role: str = "WRITER") -> Metric:
            return aws_metric(
                "AWS/RDS",
                name,
                statistic,
                {"DBClusterIdentifier": cluster.cluster_identifier, "Role": role},
            )

        # If the minimum is close to the maximum, the capacity says nothing about the load.
        always_large = stage.database_min_acu * 100 > stage.database_max_acu * BUSY_PERCENT
        self.add(
            "DatabaseCapacity",
            "The database works at its largest size: raise database_max_acu.",
            instance("CPUUtilization" if always_large else "ACUUtilization"),
            above=BUSY_PERCENT,
            minutes=10,
            missing=Missing.IS_FINE,
        )
        self.add(
            "DatabaseConnections",
            "More connections than were planned for.",
            instance("DatabaseConnections"),
            above=int(CONNECTION_SHARE * max_connections(stage)),
            minutes=5,
            missing=Missing.IS_FINE,
        )
        self.add(
            "DatabaseDeadlocks",
            "Transactions lock each other out.",
            instance("Deadlocks", SUM),
            above=0,
            minutes=3,
            of=5,
            missing=Missing.IS_FINE,
        )
        self.add(
            "DatabaseTransactionAge",
            "Old row versions are not cleaned up; at two thousand million the database stops.",
            instance("MaximumUsedTransactionIDs"),
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
                missing=Missing.IS_FINE,  # DatabaseReaderGone says so
            )
            if stage.database_min_acu:  # a paused database writes no metric
                self.add_heartbeat(
                    "DatabaseReaderGone",
                    "There is no reader: a failover would take minutes, not one.",
                    instance("CPUUtilization", role="READER"),
                )
        rds.CfnEventSubscription(
            self,
            "DatabaseEvents",
            sns_topic_arn=topic.topic_arn,
            source_type="db-cluster",
            source_ids=[cluster.cluster_identifier],
            event_categories=["failover", "failure", "maintenance", "notification"],
        )
