"""The rights of people who operate a stage: the table behind the three policies.

From it `moor` says which policy a refused call belongs to, and docs/operators.md shows it.
tests/agreement/test_operators.py compares it with what the commands call. Standard library only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from stacks.config.naming import Output


class Level(StrEnum):
    """The three policies. None contains another: who operates needs READ too."""

    READ = "read"  # see the state of a stage
    OPERATE = "operate"  # change counts and releases, and call the API
    DEBUG = "debug"  # open sessions in containers and the database


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
POOL_LOGS = "{pool_logs}"  # the same of each worker pool but the default one
IAM = "arn:{partition}:iam::{account}:"
RDS = "arn:{partition}:rds:{region}:{account}:"
SSM = "arn:{partition}:ssm:{region}:"
# The secrets that `moor secrets` makes, and the others that stages.toml names.
OWN_SECRETS = "arn:{partition}:secretsmanager:{region}:{account}:secret:{secrets}*"
NAMED_SECRETS = "{named_secrets}"
PROJECT_SECRET = "a secret of the project"  # noqa: S105 - in place of an output
ANY = ("*",)

IN_CLUSTER: Conditions = {"ArnEquals": {"ecs:cluster": CLUSTER}}
OF_ECS: Conditions = {
    "StringEquals": {
        "application-autoscaling:service-namespace": "ecs",
        "application-autoscaling:scalable-dimension": "ecs:service:DesiredCount",
    }
}
# The key may only be used through Secrets Manager, and for the named secret.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
VIA_SECRETS = {"kms:ViaService": "secretsmanager.{region}.{url_suffix}"}


@dataclass(frozen=True)
class Right:
    """One statement. `on` are ARNs with the placeholders of `operator_policies.py` in braces.

    `beside` is set where AWS needs this right for another call: it names those calls. `output`
    names the secret that the statement is about, or is `PROJECT_SECRET`.
    """

    sid: str
    level: Level
    actions: tuple[str, ...]
    on: tuple[str, ...] = ANY
    conditions: Conditions = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    output: str | None = None


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
          (LOGS + "api:*", LOGS + "worker:*", POOL_LOGS)),
    Right("SeeSecrets", Level.READ, ("secretsmanager:DescribeSecret",),
          (OWN_SECRETS, NAMED_SECRETS), output=PROJECT_SECRET),
    Right(
        "SeeDatabase", Level.READ,
        ("rds:DescribeDBClusters", "rds:DescribeDBClusterParameters"),
        (RDS + "cluster:{database}", RDS + "cluster-pg:{data_stack}-*"),
    ),
    # AWS knows no resources for these calls.
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
            "secretsmanager:ListSecrets", "ssm:DescribeParameters",
        ),
    ),
    Right(
        "SeeRoles", Level.READ,
        ("iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"),
        ("{roles}",),
    ),
    Right("SeePolicies", Level.READ, ("iam:GetPolicy", "iam:GetPolicyVersion"), ("{policies}",)),
    # The caller's own role or user, whose name is not known here.
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

    # AWS's own key of Secrets Manager, which encrypts them, needs no right.
    Right(
        "ChangeSecrets", Level.OPERATE,
        ("secretsmanager:CreateSecret", "secretsmanager:PutSecretValue",
         "secretsmanager:DeleteSecret", "secretsmanager:RestoreSecret"),
        (OWN_SECRETS,), output=PROJECT_SECRET,
    ),
    # AWS asks for it where a secret is made with tags.
    Right("TagSecrets", Level.OPERATE, ("secretsmanager:TagResource",), (OWN_SECRETS,),
          beside=("secretsmanager:CreateSecret",), output=PROJECT_SECRET),

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
    # Only the user's password: RDS changes the owner's.
    Right("ChangePassword", Level.DEBUG,
          ("secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue",
           "secretsmanager:UpdateSecretVersionStage"),
          ("{user_secret}",), output=Output.DATABASE_SECRET),
    Right("RunTasks", Level.DEBUG, ("ecs:RunTask",),
          (ECS + "task-definition/{prefix}-*:*",), IN_CLUSTER),
    Right("StopTasks", Level.DEBUG, ("ecs:StopTask",), (TASKS,)),
    # ECS copies the tags of a task definition to an ECS task at its start.
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html
    Right("TagAtStart", Level.DEBUG, ("ecs:TagResource",), (TASKS,),
          {"StringEquals": {"ecs:CreateAction": "RunTask"}}, beside=("ecs:RunTask",)),
    # AWS knows no resources for these calls (https://github.com/aws/containers-roadmap/issues/929).
    # A task definition that is registered so can run only with roles that may be passed on, and
    # where the same people may run ECS tasks.
    Right("CopyTaskDefinition", Level.DEBUG,
          ("ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition")),
    Right(
        "PassRoles", Level.DEBUG, ("iam:PassRole",), ("{roles}",),
        {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        beside=("ecs:RunTask", "ecs:RegisterTaskDefinition"),
    ),
    Right("OpenShell", Level.DEBUG, ("ecs:ExecuteCommand",), (CLUSTER, TASKS), IN_CLUSTER),
    # session-manager-plugin encrypts with the stage's key, and names the target of the session.
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/session-preferences-enable-encryption.html
    Right("EncryptSession", Level.DEBUG, ("kms:GenerateDataKey",), ("{key}",),
          {"StringLike": {"kms:EncryptionContext:aws:ssm:TargetId": "ecs:{cluster}_*"}},
          beside=("ecs:ExecuteCommand",)),
    # Without the condition, a session without a document would be allowed, and that is a shell.
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-sessiondocumentaccesscheck.html
    Right(
        "OpenTunnel", Level.DEBUG, ("ssm:StartSession",),
        (TASKS, SSM + ":document/AWS-StartPortForwardingSessionToRemoteHost"),
        {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}},
    ),
    # session-manager-plugin resumes and ends its own sessions.
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-examples.html
    Right("KeepOwnSession", Level.DEBUG, ("ssm:ResumeSession", "ssm:TerminateSession"),
          (SSM + "{account}:session/*",),
          {"StringLike": {"ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}"}},
          beside=("ssm:StartSession", "ecs:ExecuteCommand")),
)  # fmt: skip


def rights_to(action: str, output: str = "") -> Iterator[Right]:
    """The statements that allow `action`; with `output`, only those about that secret."""
    for right in RIGHTS:
        if action in right.actions and (not output or right.output in (None, output)):
            yield right
