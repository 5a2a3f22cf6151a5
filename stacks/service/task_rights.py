"""The policy statements of an ECS task's roles."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from service.contract import PAYLOADS_PREFIX, RESULTS_PREFIX, ProcessName
from stacks.config.stage import Stage
from stacks.data.data_stack import DataStack
from stacks.service.image import Image
from stacks.stage_stack import key_statement

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
QUEUE_ACTIONS = {
    ProcessName.API: ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes",
                      "sqs:GetQueueUrl", "sqs:SendMessage"],
    ProcessName.WORKER: ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage",
                         "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage",
                         "sqs:SendMessage"],
}  # fmt: skip


def execution_statements(
    process: ProcessName,
    image: Image,
    data: DataStack,
    key: kms.IKey,
    log_group: logs.ILogGroup,
) -> list[iam.PolicyStatement]:
    statements = [
        iam.PolicyStatement(
            sid="WriteLog",
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[log_group.log_group_arn],  # ends in :*, its streams
        )
    ]
    if image.repository_arn:
        statements += [
            iam.PolicyStatement(
                sid="SignInToRegistry",
                actions=["ecr:GetAuthorizationToken"],
                resources=["*"],  # this call has no resources
            ),
            iam.PolicyStatement(
                sid="PullImage",
                actions=[
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetDownloadUrlForLayer",
                ],
                resources=[image.repository_arn],
            ),
        ]
    secrets = [data.database.owner_secret]  # for `migrate`
    if process is ProcessName.API:
        secrets += [data.secrets.api_key, data.secrets.ui]
    return [
        *statements,
        iam.PolicyStatement(
            sid="ReadSecrets",
            actions=["secretsmanager:GetSecretValue"],
            resources=[secret.secret_arn for secret in secrets],
        ),
        key_statement(key, "DecryptSecrets", "secretsmanager", ["kms:Decrypt"]),
    ]


def password_statements(secret: secretsmanager.ISecret, key: kms.IKey) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="AskForPassword",
            actions=["secretsmanager:GetSecretValue"],
            resources=[secret.secret_arn],
        ),
        key_statement(key, "DecryptPassword", "secretsmanager", ["kms:Decrypt"]),
    ]


def bucket_statements(
    process: ProcessName, data: DataStack, key: kms.IKey
) -> list[iam.PolicyStatement]:
    """A worker writes results; the API signs links to them with its role. The process that enqueues
    a job writes its large payload, and the worker that runs it reads the payload."""
    payloads, results = (f"{data.bucket_arn}/{name}*" for name in (PAYLOADS_PREFIX, RESULTS_PREFIX))
    is_worker = process is ProcessName.WORKER
    statements = [
        iam.PolicyStatement(
            sid="ReadObjects",
            actions=["s3:GetObject"],
            resources=[payloads if is_worker else results],
        ),
        iam.PolicyStatement(sid="WritePayloads", actions=["s3:PutObject"], resources=[payloads]),
        key_statement(key, "UseBucketKey", "s3", ["kms:Decrypt", "kms:GenerateDataKey"]),
    ]
    if is_worker:
        statements.append(
            iam.PolicyStatement(
                sid="WriteResults",
                actions=["s3:PutObject", "s3:AbortMultipartUpload"],
                resources=[results],
            )
        )
    return statements


def session_of(stage: Stage) -> dict[str, str]:
    """The condition for a key that encrypts sessions with ECS tasks of the stage."""
    return {"kms:EncryptionContext:aws:ssm:TargetId": f"ecs:{stage.names.cluster}_*"}


def protection_statement(scope: Construct, stage: Stage) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid="ProtectItselfFromScaleIn",
        actions=["ecs:UpdateTaskProtection"],
        # All ECS tasks of this cluster, because the id of an ECS task is made when it starts.
        resources=[
            Stack.of(scope).format_arn(
                service="ecs", resource="task", resource_name=f"{stage.names.cluster}/*"
            )
        ],
    )


def queue_statement(scope: Construct, process: ProcessName, stage: Stage) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid="UseQueue",
        actions=QUEUE_ACTIONS[process],
        resources=[Stack.of(scope).format_arn(service="sqs", resource=stage.sqs_queue)],
    )


def log_statement(scope: Construct, stage: Stage) -> iam.PolicyStatement:
    """To read the lines of the stage's own processes, for the page of a job."""
    return iam.PolicyStatement(
        sid="ReadLogs",
        actions=["logs:FilterLogEvents"],
        resources=[
            # by name: the log group of a pool is made after this role
            Stack.of(scope).format_arn(
                service="logs", resource="log-group", resource_name=f"{name}:*",
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )
            for name in stage.log_groups
        ],
    )  # fmt: skip


def exec_statements(
    stage: Stage, key: kms.IKey, log_group: logs.ILogGroup
) -> list[iam.PolicyStatement]:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
    return [
        iam.PolicyStatement(
            sid="OpenShell",
            actions=[
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
            ],
            resources=["*"],  # these calls have no resources
        ),
        iam.PolicyStatement(
            sid="FindSessionLog",
            actions=["logs:DescribeLogGroups"],
            resources=["*"],  # this call has no resources
        ),
        iam.PolicyStatement(
            sid="WriteSessionLog",
            actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[log_group.log_group_arn],  # ends in :*, its streams
        ),
        iam.PolicyStatement(
            sid="DecryptSession",
            actions=["kms:Decrypt"],
            resources=[key.key_arn],
            # Only for sessions with an ECS task of this cluster: the agent and
            # session-manager-plugin both name the target of a session when they use the key.
            # https://docs.aws.amazon.com/systems-manager/latest/userguide/session-preferences-enable-encryption.html
            conditions={"StringLike": session_of(stage)},
        ),
    ]
