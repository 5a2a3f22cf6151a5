"""What people may call who operate a stage: the one table behind the three policies.

`moor` says from it which policy a refused call belongs to, docs/operators.md shows it, and
tests/agreement/test_operators.py holds it to what the commands call. Standard library only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from stacks.config.naming import Output


class Level(StrEnum):
    """The three policies. Each holds what the others lack: who operates has READ as well."""

    READ = "read"  # see how a stage is
    OPERATE = "operate"  # change counts and releases, and ask the API
    DEBUG = "debug"  # get into containers and the database


POLICIES = {
    Level.READ: Output.READ_POLICY,
    Level.OPERATE: Output.OPERATE_POLICY,
    Level.DEBUG: Output.DEBUG_POLICY,
}

Conditions = Mapping[str, Mapping[str, str]]

ECS = "arn:{partition}:ecs:{region}:{account}:"
CLUSTER, SERVICES, TASKS = (
    f"{ECS}{each}" for each in ("cluster/{cluster}", "service/{cluster}/*", "task/{cluster}/*")
)
LOGS = "arn:{partition}:logs:{region}:{account}:log-group:/ecs/{prefix}-"
IAM = "arn:{partition}:iam::{account}:"
RDS = "arn:{partition}:rds:{region}:{account}:"
SSM = "arn:{partition}:ssm:{region}:"
ANY = ("*",)

IN_CLUSTER: Conditions = {"ArnEquals": {"ecs:cluster": CLUSTER}}
OF_ECS: Conditions = {
    "StringEquals": {
        "application-autoscaling:service-namespace": "ecs",
        "application-autoscaling:scalable-dimension": "ecs:service:DesiredCount",
    }
}
# The one whose secret is named, by a call of Secrets Manager.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
VIA_SECRETS = {"kms:ViaService": "secretsmanager.{region}.{url_suffix}"}


@dataclass(frozen=True)
class Right:
    """One statement. `on` are ARNs with the words of `operator_policies.py` in braces.

    What AWS asks for beside the calls of a command has them in `beside`. `output` is the secret
    that the statement is about, where there are several.
    """

    sid: str
    level: Level
    actions: tuple[str, ...]
    on: tuple[str, ...] = ANY
    conditions: Conditions = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    output: Output | None = None


RIGHTS = (
    Right(
        "FindStage", Level.READ, ("cloudformation:DescribeStacks",),
        ("arn:{partition}:cloudformation:{region}:{account}:stack/{data_stack}/*",
         "arn:{partition}:cloudformation:{region}:{account}:stack/{service_stack}/*"),
    ),
    Right(
        "SeeServices", Level.READ,
        ("ecs:DescribeServices", "ecs:DescribeServiceRevisions", "ecs:ListServiceDeployments"),
        (SERVICES, ECS + "service-revision/{cluster}/*"),
    ),
    Right("SeeCluster", Level.READ, ("ecs:DescribeClusters",), (CLUSTER,)),
    Right("SeeTasks", Level.READ, ("ecs:DescribeTasks", "ecs:GetTaskProtection"), (TASKS,)),
    Right("ListTasks", Level.READ, ("ecs:ListTasks",), ANY, IN_CLUSTER),
    Right("ReadLogs", Level.READ, ("logs:FilterLogEvents",),
          (LOGS + "api:*", LOGS + "worker:*")),
    Right(
        "SeeDatabase", Level.READ,
        ("rds:DescribeDBClusters", "rds:DescribeDBClusterParameters"),
        (RDS + "cluster:{database}", RDS + "cluster-pg:{data_stack}-*"),
    ),
    # Of these AWS knows no resource.
    Right(
        "SeeWhatHasNoResource", Level.READ,
        (
            "application-autoscaling:DescribeScalableTargets",
            "application-autoscaling:DescribeScalingPolicies",
            "application-autoscaling:DescribeScheduledActions",
            "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData",
            "cloudwatch:GetMetricStatistics",
            "ec2:DescribeNatGateways", "ec2:DescribeSubnets", "ec2:DescribeVpcEndpoints",
            "ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions",
            "elasticloadbalancing:DescribeTargetGroupAttributes",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth", "logs:DescribeLogGroups",
        ),
    ),
    Right(
        "SeeRoles", Level.READ,
        ("iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"),
        ("{roles}",),
    ),
    Right("SeePolicies", Level.READ, ("iam:GetPolicy", "iam:GetPolicyVersion"), ("{policies}",)),
    # Whoever asks, about himself: which role that is, nobody knows here.
    Right("SeeOneself", Level.READ, ("iam:GetRole", "iam:SimulatePrincipalPolicy"),
          (IAM + "role/*", IAM + "user/*")),

    Right("ChangeServices", Level.OPERATE,
          ("ecs:UpdateService", "ecs:TagResource", "ecs:UntagResource"), (SERVICES,)),
    Right(
        "MoveBounds", Level.OPERATE,
        ("application-autoscaling:RegisterScalableTarget",
         "application-autoscaling:PutScheduledAction",
         "application-autoscaling:DeleteScheduledAction"),
        ("arn:{partition}:application-autoscaling:{region}:{account}:scalable-target/*",),
        OF_ECS,
    ),
    Right(
        "SwitchAlarms", Level.OPERATE,
        ("cloudwatch:DisableAlarmActions", "cloudwatch:EnableAlarmActions"),
        ("arn:{partition}:cloudwatch:{region}:{account}:alarm:{prefix}-*",),
    ),
    Right("ReadApiKey", Level.OPERATE, ("secretsmanager:GetSecretValue",),
          ("{api_key_secret}",), output=Output.API_KEY_SECRET),
    Right(
        "DecryptApiKey", Level.OPERATE, ("kms:Decrypt",), ("{key}",),
        {"StringEquals": VIA_SECRETS | {"kms:EncryptionContext:SecretARN": "{api_key_secret}"}},
        beside=("secretsmanager:GetSecretValue",), output=Output.API_KEY_SECRET,
    ),

    Right("ChangeApiKey", Level.OPERATE, ("secretsmanager:PutSecretValue",),
          ("{api_key_secret}",), output=Output.API_KEY_SECRET),
    Right(
        "EncryptApiKey", Level.OPERATE, ("kms:GenerateDataKey",), ("{key}",),
        {"StringEquals": VIA_SECRETS | {"kms:EncryptionContext:SecretARN": "{api_key_secret}"}},
        beside=("secretsmanager:PutSecretValue",), output=Output.API_KEY_SECRET,
    ),

    Right("ReadPassword", Level.DEBUG, ("secretsmanager:GetSecretValue",),
          ("{database_secret}", "{user_secret}"), output=Output.DATABASE_SECRET),
    Right(
        "DecryptPassword", Level.DEBUG, ("kms:Decrypt",), ("{key}",),
        {"StringEquals": VIA_SECRETS | {"kms:EncryptionContext:SecretARN": "{database_secret}"}},
        beside=("secretsmanager:GetSecretValue",), output=Output.DATABASE_SECRET,
    ),
    Right(
        "UseKeyOfUser", Level.DEBUG, ("kms:Decrypt", "kms:GenerateDataKey"), ("{key}",),
        {"StringEquals": VIA_SECRETS | {"kms:EncryptionContext:SecretARN": "{user_secret}"}},
        beside=("secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"),
        output=Output.DATABASE_SECRET,
    ),
    # RDS changes the owner's.
    Right("ChangePassword", Level.DEBUG,
          ("secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue",
           "secretsmanager:UpdateSecretVersionStage"),
          ("{user_secret}",), output=Output.DATABASE_SECRET),
    Right("RunTasks", Level.DEBUG, ("ecs:RunTask",),
          (ECS + "task-definition/{prefix}-*:*",), IN_CLUSTER),
    Right("StopTasks", Level.DEBUG, ("ecs:StopTask",), (TASKS,)),
    # ECS gives the tags of a task definition to an ECS task at its start.
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html
    Right("TagAtStart", Level.DEBUG, ("ecs:TagResource",), (TASKS,),
          {"StringEquals": {"ecs:CreateAction": "RunTask"}}, beside=("ecs:RunTask",)),
    # Of these AWS knows no resource (https://github.com/aws/containers-roadmap/issues/929).
    # What is registered runs with roles that may be passed, and where tasks may be run, alone.
    Right("CopyTaskDefinition", Level.DEBUG,
          ("ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition")),
    Right(
        "PassRoles", Level.DEBUG, ("iam:PassRole",), ("{roles}",),
        {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        beside=("ecs:RunTask", "ecs:RegisterTaskDefinition"),
    ),
    Right("OpenShell", Level.DEBUG, ("ecs:ExecuteCommand",), (CLUSTER, TASKS), IN_CLUSTER),
    # session-manager-plugin encrypts with the stage's key; it names the target.
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/session-preferences-enable-encryption.html
    Right("EncryptSession", Level.DEBUG, ("kms:GenerateDataKey",), ("{key}",),
          {"StringLike": {"kms:EncryptionContext:aws:ssm:TargetId": "ecs:{cluster}_*"}},
          beside=("ecs:ExecuteCommand",)),
    # Without the condition a session without a document, which is a shell, would be let through.
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-sessiondocumentaccesscheck.html
    Right(
        "OpenTunnel", Level.DEBUG, ("ssm:StartSession",),
        (TASKS, SSM + ":document/AWS-StartPortForwardingSessionToRemoteHost"),
        {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}},
    ),
    # session-manager-plugin does these with whatever session it holds: its own.
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-examples.html
    Right("KeepOwnSession", Level.DEBUG, ("ssm:ResumeSession", "ssm:TerminateSession"),
          (SSM + "{account}:session/*",),
          {"StringLike": {"ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}"}},
          beside=("ssm:StartSession", "ecs:ExecuteCommand")),
)  # fmt: skip


def rights_to(action: str, output: str = "") -> Iterator[Right]:
    """The statements that allow `action`, or those about one secret alone."""
    for right in RIGHTS:
        if action in right.actions and (not output or right.output in (None, output)):
            yield right
