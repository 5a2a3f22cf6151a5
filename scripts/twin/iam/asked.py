"""Reads a request as a call of AWS's API."""

import io
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router

from scripts.twin.iam.call import Call

# botocore's name of a service, where a signature has another
SERVICES = {
    "monitoring": "cloudwatch", "elasticloadbalancing": "elbv2", "states": "stepfunctions",
    "email": "ses", "tagging": "resourcegroupstaggingapi",
}  # fmt: skip
# The name in front of IAM's actions, where a signature has another.
PREFIXES = {"monitoring": "cloudwatch", "email": "ses", "tagging": "tag"}


def prepare() -> None:
    """Read the paths of S3's operations, before a client in this process is used: botocore then
    takes the bucket out of them, in the model that all share (`cloud/aws_models.py`)."""
    get_service_router("s3").match(Request({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}))


def read_call(
    environ: Mapping[str, Any],
    read_body: Callable[[], bytes],
    *,
    service: str,
    region: str,
    account: str,
) -> Call:
    """The call that is signed for `service`. Of S3 the body is read only where it names what is
    asked for. Raises moto's errors for what it cannot read."""
    name = SERVICES.get(service, service)
    if name == "ses" and environ["PATH_INFO"].startswith("/v2/"):
        name = "sesv2"
    has_parameters = name != "s3" or "delete" in environ.get("QUERY_STRING", "")
    body = read_body() if has_parameters else b""
    request = Request({**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
    operation, labels = get_service_router(name).match(request)
    params: dict[str, Any] = dict(labels)
    if has_parameters:
        protocol = determine_request_protocol(operation.service_model, request.content_type)
        params |= PROTOCOL_PARSERS[protocol](operation).parse(
            {
                "method": request.method, "values": request.values, "headers": request.headers,
                "body": request.data, "url_path": request.path, "url_params": labels,
            }
        )  # fmt: skip
    else:
        names = {"prefix": "Prefix", "versionId": "VersionId", "delimiter": "Delimiter"}
        params |= {name: request.args[key] for key, name in names.items() if key in request.args}
    return Call(
        service=name,
        prefix=PREFIXES.get(service, service),
        operation=operation.name,
        params=params,
        headers={key.lower(): value for key, value in request.headers.items()},
        account=account,
        region=region,
    )
