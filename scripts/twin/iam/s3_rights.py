"""What IAM wants for calls of S3, whose actions often have other names than its operations.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from urllib.parse import unquote

from moto.s3.models import s3_backends

from scripts.twin.iam.call import Call, Needs
from scripts.twin.iam.evaluation import Right
from scripts.twin.iam.service_reference import kinds_of_resource

ACTIONS = {
    "CompleteMultipartUpload": "PutObject", "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject", "UploadPartCopy": "PutObject",
    "HeadObject": "GetObject", "SelectObjectContent": "GetObject",
    "ListParts": "ListMultipartUploadParts", "ListMultipartUploads": "ListBucketMultipartUploads",
    "HeadBucket": "ListBucket", "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions", "ListBuckets": "ListAllMyBuckets",
    "DeleteBucketCors": "PutBucketCORS", "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
}  # fmt: skip
OF_VERSIONS = {"GetObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging",
               "DeleteObjectTagging", "GetObjectAcl", "PutObjectAcl"}  # fmt: skip


def s3_rights(call: Call) -> Needs:
    """The rights without those to the bucket's key."""
    name, key = call.params.get("Bucket"), call.params.get("Key")
    bucket = f"arn:aws:s3:::{name}" if name else "*"
    if call.operation == "DeleteObjects":
        given = (call.params.get("Delete") or {}).get("Objects", [])
        return Needs(
            [
                Right("s3:DeleteObjectVersion" if each.get("VersionId") else "s3:DeleteObject",
                      f"{bucket}/{each['Key']}")
                for each in given
            ]
        )  # fmt: skip
    action = ACTIONS.get(call.operation, call.operation)
    if kinds_of_resource("s3", action) is None:
        return Needs(not_judged=f"no action of IAM is known for s3:{call.operation}")
    if call.first("VersionId") and action in OF_VERSIONS:
        action += "Version"
    context: dict[str, list[str] | None] = {
        f"s3:{each}": [value] for each, value in call.headers.items() if each.startswith("x-amz-")
    }
    if not key:
        context["s3:prefix"] = [call.params.get("Prefix", "")]
        if call.first("Delimiter"):
            context["s3:delimiter"] = [call.params["Delimiter"]]
    target = f"{bucket}/{key}" if key else bucket
    rights = [Right(f"s3:{action}", target, context)]
    if action == "GetObject" and not _exists(call):
        # To learn that an object is not there one has to be allowed to list them.
        rights.append(Right("s3:ListBucket", bucket, context))
    if action == "PutObject":
        for header, other in (("acl", "PutObjectAcl"), ("tagging", "PutObjectTagging")):
            if f"x-amz-{header}" in call.headers:
                rights.append(Right(f"s3:{other}", target, context))
    if source := call.headers.get("x-amz-copy-source"):
        copied = unquote(source).lstrip("/").partition("?")[0]
        rights.append(Right("s3:GetObject", f"arn:aws:s3:::{copied}"))
    return Needs(rights)


def _exists(call: Call) -> bool:
    bucket = s3_backends[call.account]["aws"].buckets.get(call.params["Bucket"])
    return bucket is None or call.params.get("Key") in bucket.keys
