"""The rights to keys of KMS that other services ask for in their caller's name.

https://docs.aws.amazon.com/kms/latest/developerguide/service-integration.html
"""

from typing import Any
from urllib.parse import urlsplit

from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from scripts.twin.iam.call import Call
from scripts.twin.iam.evaluation import Right

AWS_KEYS = "alias/aws/"  # AWS's own: their policies let in whoever may use the service
ENCRYPT, DECRYPT = "GenerateDataKey", "Decrypt"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
OF_S3 = {
    "GetObject": [DECRYPT], "PutObject": [ENCRYPT], "CreateMultipartUpload": [ENCRYPT],
    "UploadPart": [DECRYPT], "CompleteMultipartUpload": [DECRYPT], "CopyObject": [DECRYPT, ENCRYPT],
}  # fmt: skip
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
OF_SECRETS = {
    "GetSecretValue": [DECRYPT], "PutSecretValue": [DECRYPT, ENCRYPT],
    "UpdateSecret": [DECRYPT, ENCRYPT],
}  # fmt: skip
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
OF_SQS = {
    "SendMessage": [ENCRYPT, DECRYPT], "SendMessageBatch": [ENCRYPT, DECRYPT],
    "ReceiveMessage": [DECRYPT],
}  # fmt: skip
OF_SNS = {"Publish": [ENCRYPT, DECRYPT], "PublishBatch": [ENCRYPT, DECRYPT]}


def key_rights(call: Call) -> list[Right]:
    """What the call needs of the key that encrypts its resource."""
    find = {"s3": _of_s3, "secretsmanager": _of_secret, "sqs": _of_queue, "sns": _of_topic}
    return find[call.prefix](call) if call.prefix in find else []


def rights_to(key: str | None, actions: list[str], call: Call) -> list[Right]:
    """The rights to use a key, by id, ARN or alias, through the call's service."""
    if not key or AWS_KEYS in key:
        return []
    context = {
        "kms:viaservice": [f"{call.prefix}.{call.region}.amazonaws.com"],
        "kms:calleraccount": [call.account],
        "aws:viaawsservice": ["true"],
    }
    return [Right(f"kms:{each}", key_arn(key, call.account, call.region), context)
            for each in actions]  # fmt: skip


def key_arn(key: str, account: str, region: str) -> str | None:
    """None for an alias that nobody made."""
    keys = kms_backends[account][region]
    try:
        return str(keys.keys[keys.any_id_to_key_id(key)].arn)
    except (KeyError, AttributeError):
        return None


def _of_s3(call: Call) -> list[Right]:
    bucket: Any = s3_backends[call.account]["aws"].buckets.get(call.params.get("Bucket", ""))
    actions = OF_S3.get(call.operation)
    if bucket is None or actions is None:
        return []
    rule = ((bucket.encryption or {}).get("Rule") or {}).get("ApplyServerSideEncryptionByDefault")
    asked = call.headers.get("x-amz-server-side-encryption")
    kind = asked or (rule or {}).get("SSEAlgorithm")
    key = call.headers.get("x-amz-server-side-encryption-aws-kms-key-id")
    key = key or (rule or {}).get("KMSMasterKeyID")
    return rights_to(key, actions, call) if kind == "aws:kms" else []


def _of_secret(call: Call) -> list[Right]:
    secrets: Any = secretsmanager_backends[call.account][call.region].secrets
    id, actions = call.params.get("SecretId", ""), OF_SECRETS.get(call.operation)
    if actions is None or id not in secrets:
        return []
    return rights_to(secrets[id].kms_key_id, actions, call)


def _of_queue(call: Call) -> list[Right]:
    name = urlsplit(call.params.get("QueueUrl", "")).path.rpartition("/")[2]
    queue = sqs_backends[call.account][call.region].queues.get(name)
    key = getattr(queue, "kms_master_key_id", None)
    return rights_to(key, OF_SQS.get(call.operation, []), call)


def _of_topic(call: Call) -> list[Right]:
    topic = sns_backends[call.account][call.region].topics.get(call.params.get("TopicArn", ""))
    key = getattr(topic, "kms_master_key_id", None)
    return rights_to(key, OF_SNS.get(call.operation, []), call)
