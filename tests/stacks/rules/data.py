"""Database, buckets, secrets and the encryption key."""

import json
from typing import Any

from service.contract import DatabaseSecretField, UiSecretField
from tests.stacks.templates import Resource, Templates

OWNER, USER = "moorage", "moorage_app"  # of the database

CLUSTER, INSTANCE = "AWS::RDS::DBCluster", "AWS::RDS::DBInstance"
BUCKET, SECRET, KEY = "AWS::S3::Bucket", "AWS::SecretsManager::Secret", "AWS::KMS::Key"
THE_KEY = "Key961B73FD"


def is_the_key(value: Any) -> bool:
    return THE_KEY in str(value)


def policy_of(templates: Templates, bucket: Resource) -> list[dict[str, Any]]:
    (found,) = (
        each.get("PolicyDocument.Statement")
        for each in templates.all("AWS::S3::BucketPolicy")
        if each.get("Bucket") == {"Ref": bucket.id}
    )
    assert isinstance(found, list)
    return found


def database_is_encrypted(templates: Templates) -> None:
    """RDS.3, RDS.27, CKV_AWS_96: storage, secret and insights, all with the stage's key."""
    cluster = templates.one(CLUSTER)
    assert cluster.get("StorageEncrypted") is True
    assert is_the_key(cluster.get("KmsKeyId"))
    assert is_the_key(cluster.get("MasterUserSecret.KmsKeyId"))
    for instance in templates.all(INSTANCE):
        assert is_the_key(instance.get("PerformanceInsightsKMSKeyId"))


def database_refuses_plain_connections(templates: Templates) -> None:
    """RDS.38, which skips clusters: force_ssl, said by us and not left to the version's default."""
    group = templates.one("AWS::RDS::DBClusterParameterGroup")
    assert group.get("Parameters")["rds.force_ssl"] == "1"
    used = templates.one(CLUSTER).get("DBClusterParameterGroupName")
    assert used == {"Ref": group.id}


def database_log_shows_slow_statements_without_their_values(templates: Templates) -> None:
    """CKV2_AWS_27, RDS.9: a job's payload is a parameter."""
    parameters = templates.one("AWS::RDS::DBClusterParameterGroup").get("Parameters")
    assert parameters["log_statement"] == "ddl"
    assert 100 <= int(parameters["log_min_duration_statement"]) <= 10_000
    assert parameters["log_parameter_max_length"] == "0"
    assert parameters["log_parameter_max_length_on_error"] == "0"
    assert templates.one(CLUSTER).get("EnableCloudwatchLogsExports") == ["postgresql"]


def database_is_backed_up(templates: Templates) -> None:
    """RDS.50, CKV_AWS_133: seven days at least."""
    cluster = templates.one(CLUSTER)
    assert cluster.get("BackupRetentionPeriod") == templates.stage.database_backup_days >= 7
    assert cluster.get("CopyTagsToSnapshot") is True


def data_outlives_a_protected_stage(templates: Templates) -> None:
    """RDS.7, RDS.8, CKV_AWS_139: protected, and kept or snapshotted when the stack goes."""
    is_protected, is_locked = templates.stage.is_protected, templates.stage.is_locked
    cluster = templates.one(CLUSTER)
    assert cluster.get("DeletionProtection") is is_locked
    assert cluster.body["DeletionPolicy"] == ("Snapshot" if is_locked else "Delete")
    assert cluster.body["UpdateReplacePolicy"] == ("Snapshot" if is_locked else "Delete")
    for kind in (BUCKET, SECRET, KEY, "AWS::Logs::LogGroup"):
        for each in templates.all(kind):
            wanted = "RetainExceptOnCreate" if is_protected else "Delete"
            assert each.body["DeletionPolicy"] == wanted, each.id
            assert each.body["UpdateReplacePolicy"] == ("Retain" if is_protected else "Delete")


def rds_keeps_the_password(templates: Templates) -> None:
    """SecretsManager.1: the owner's, which RDS makes and rotates; nobody writes it down."""
    cluster = templates.one(CLUSTER)
    assert cluster.get("MasterUsername") == OWNER
    assert cluster.get("ManageMasterUserPassword") is True
    assert cluster.get("MasterUserPassword") is None


def nobody_connects_by_iam(templates: Templates) -> None:
    """Against RDS.12 and CKV_AWS_162: a way in that nothing uses is closed."""
    assert templates.one(CLUSTER).get("EnableIAMDatabaseAuthentication") is False


def nobody_reaches_the_database_from_outside(templates: Templates) -> None:
    """RDS.2, RDS.23: isolated subnets, no address, and not the default port."""
    cluster = templates.one(CLUSTER)
    assert cluster.get("Port") == 5433
    (group,) = cluster.get("VpcSecurityGroupIds")
    assert group["Fn::GetAtt"][0].startswith("DatabaseSecurityGroup")
    for instance in templates.all(INSTANCE):
        assert instance.get("PubliclyAccessible") is False
    subnets = templates.one("AWS::RDS::DBSubnetGroup").get("SubnetIds")
    assert len(subnets) >= 2
    assert all("IsolatedSubnet" in str(subnet) for subnet in subnets)


def database_instances_are_watched_and_patched(templates: Templates) -> None:
    """RDS.6, RDS.13: enhanced monitoring, insights, minor versions."""
    for instance in templates.all(INSTANCE):
        assert instance.get("AutoMinorVersionUpgrade") is True
        assert instance.get("MonitoringInterval") == 60
        assert "MonitoringRole" in str(instance.get("MonitoringRoleArn"))
        assert instance.get("EnablePerformanceInsights") is True
        assert instance.get("PerformanceInsightsRetentionPeriod") == 7  # days, without a price


def database_has_the_configured_capacity(templates: Templates) -> None:
    """The maximum decides how many may connect."""
    stage = templates.stage
    assert templates.one(CLUSTER).get("ServerlessV2ScalingConfiguration") == {
        "MinCapacity": stage.database_min_acu,
        "MaxCapacity": stage.database_max_acu,
    }
    instances = templates.all(INSTANCE)
    assert len(instances) == (2 if stage.database_reader else 1)
    assert {each.get("DBInstanceClass") for each in instances} == {"db.serverless"}
    # A reader that does not follow the writer's size cannot take over at once.
    assert {each.get("PromotionTier") for each in instances} <= {0, 1}


def buckets_are_private(templates: Templates) -> None:
    """S3.1, S3.2, S3.3, S3.8, S3.12: no public access by any way, no ACLs."""
    for bucket in templates.all(BUCKET):
        assert bucket.get("PublicAccessBlockConfiguration") == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }
        assert bucket.get("OwnershipControls.Rules") == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def buckets_speak_tls_only(templates: Templates) -> None:
    """S3.5: two denials, of plain HTTP and of TLS before 1.2, for everybody and everything."""
    for bucket in templates.all(BUCKET):
        denied = [each for each in policy_of(templates, bucket) if each["Effect"] == "Deny"]
        assert [each["Condition"] for each in denied] == [
            {"Bool": {"aws:SecureTransport": "false"}},
            {"NumericLessThan": {"s3:TlsVersion": 1.2}},
        ]
        for each in denied:
            assert each["Action"] == "s3:*"
            assert each["Principal"] == {"AWS": "*"}
            assert len(each["Resource"]) == 2


def buckets_are_encrypted(templates: Templates) -> None:
    """S3.17, CKV_AWS_19: the data with our key, the logs with the only kind the balancer can."""
    for bucket in templates.all(BUCKET):
        (rule,) = bucket.get("BucketEncryption.ServerSideEncryptionConfiguration")
        default = rule["ServerSideEncryptionByDefault"]
        if bucket.id.startswith("LogBucket"):
            assert default == {"SSEAlgorithm": "AES256"}
        else:
            assert default["SSEAlgorithm"] == "aws:kms"
            assert is_the_key(default["KMSMasterKeyID"])
            assert rule["BucketKeyEnabled"] is True


def mistakes_in_buckets_can_be_undone(templates: Templates) -> None:
    """S3.13, S3.14, CKV_AWS_21: versions, and an end to old ones and to half uploads."""
    for bucket in templates.all(BUCKET):
        assert bucket.get("VersioningConfiguration.Status") == "Enabled"
        rule = bucket.get("LifecycleConfiguration.Rules")[0]
        assert rule["Status"] == "Enabled"
        assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
        is_log = bucket.id.startswith("LogBucket")
        assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == (1 if is_log else 30)
        assert rule.get("ExpirationInDays") == (
            templates.stage.log_retention_days if is_log else None
        )
        assert rule.get("ExpiredObjectDeleteMarker") is (None if is_log else True)
        assert "Prefix" not in rule


def payloads_end(templates: Templates) -> None:
    """S3.13: after the days that the service counts on, and nothing else does."""
    _, *rules = templates.one(BUCKET, "Bucket").get("LifecycleConfiguration.Rules")
    assert rules == [{"Prefix": "payloads/", "ExpirationInDays": 60, "Status": "Enabled"}]
    assert len(templates.one(BUCKET, "LogBucket").get("LifecycleConfiguration.Rules")) == 1


def access_to_the_bucket_is_logged(templates: Templates) -> None:
    """S3.9, CKV_AWS_18."""
    logging = templates.one(BUCKET, "Bucket").get("LoggingConfiguration")
    assert logging["DestinationBucketName"]["Ref"].startswith("LogBucket")
    assert logging["LogFilePrefix"] == "bucket/"


def application_secrets_are_strong_and_encrypted(templates: Templates) -> None:
    """SecretsManager.3, CKV_AWS_149: generated, long enough for Settings, with our key."""
    for secret in templates.all(SECRET):
        generated = secret.get("GenerateSecretString")
        assert 32 <= generated["PasswordLength"] <= 100
        assert generated["ExcludePunctuation"] is True  # it travels in headers and shells
        assert secret.get("SecretString") is None
        assert is_the_key(secret.get("KmsKeyId"))
    pages = templates.one(SECRET, "SecretsUi").get("GenerateSecretString")
    assert pages["GenerateStringKey"] == UiSecretField.PASSWORD
    assert json.loads(pages["SecretStringTemplate"]) == {UiSecretField.USERNAME: "operator"}
    user = templates.one(SECRET, "DatabaseUser").get("GenerateSecretString")
    assert user["GenerateStringKey"] == DatabaseSecretField.PASSWORD
    assert json.loads(user["SecretStringTemplate"]) == {DatabaseSecretField.USERNAME: USER}


def keys_rotate(templates: Templates) -> None:
    """KMS.4, CKV_AWS_7: that of the data, and that of the alarms."""
    assert {key.id[:-8] for key in templates.all(KEY)} == {"Key", "AlarmKey"}
    for key in templates.all(KEY):
        assert key.get("EnableKeyRotation") is True
        assert key.get("Enabled") is not False


def no_service_uses_the_key_of_the_data_unconditioned(templates: Templates) -> None:
    """A service that anybody can ask would be a way to what the key guards."""
    statements = templates.one(KEY, "Key").get("KeyPolicy.Statement")
    for statement in statements:
        if "Service" in statement["Principal"]:
            assert statement.get("Condition"), statement
            assert "events" not in str(statement["Principal"])
