"""The answer to a refused call, in the words and the protocol of the AWS service."""

import json
import secrets
from collections.abc import Mapping
from enum import Enum
from xml.sax.saxutils import escape

Answer = tuple[int, dict[str, str], bytes]
Error = tuple[str, int, str]  # code, HTTP status, text


class Why(Enum):
    """The reason of a refusal."""

    NO_KEY = "no key"
    UNKNOWN_KEY = "unknown key"
    WRONG_SIGNATURE = "wrong signature"
    EXPIRED_TOKEN = "expired token"  # noqa: S105
    OLD = "old"
    EXPIRED_LINK = "expired link"
    NOT_OURS = "not ours"


MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)
INVALID = "The security token included in the request is invalid."
EXPIRED = "The security token included in the request is expired"
TOO_OLD = "Signature expired: it is more than 15 minutes off the clock here."
NOT_VALIDATED = "AWS was not able to validate the provided access credentials"
NOT_OURS = (
    "The local twin answers only programs on this machine that call it by the name localhost, and "
    "no page in a browser."
)
# Code, HTTP status and text for each protocol, as on AWS:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
S3 = {
    Why.NO_KEY: ("AccessDenied", 403, "Access Denied"),
    Why.UNKNOWN_KEY: (
        "InvalidAccessKeyId", 403,
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
    Why.WRONG_SIGNATURE: ("SignatureDoesNotMatch", 403, MISMATCH),
    Why.EXPIRED_TOKEN: ("ExpiredToken", 400, "The provided token has expired."),
    Why.OLD: ("RequestTimeTooSkewed", 403, TOO_OLD),
    Why.EXPIRED_LINK: ("AccessDenied", 403, "Request has expired"),
    Why.NOT_OURS: ("AccessDenied", 403, NOT_OURS),
}  # fmt: skip
JSON = {
    Why.NO_KEY: ("MissingAuthenticationTokenException", 400, "Missing Authentication Token"),
    Why.UNKNOWN_KEY: ("UnrecognizedClientException", 400, INVALID),
    Why.WRONG_SIGNATURE: ("InvalidSignatureException", 400, MISMATCH),
    Why.EXPIRED_TOKEN: ("ExpiredTokenException", 400, EXPIRED),
    Why.OLD: ("InvalidSignatureException", 400, TOO_OLD),
    Why.EXPIRED_LINK: ("InvalidSignatureException", 400, TOO_OLD),
    Why.NOT_OURS: ("AccessDeniedException", 400, NOT_OURS),
}
QUERY = {
    Why.NO_KEY: ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
    Why.UNKNOWN_KEY: ("InvalidClientTokenId", 403, INVALID),
    Why.WRONG_SIGNATURE: ("SignatureDoesNotMatch", 403, MISMATCH),
    Why.EXPIRED_TOKEN: ("ExpiredToken", 403, EXPIRED),
    Why.OLD: ("SignatureDoesNotMatch", 403, TOO_OLD),
    Why.EXPIRED_LINK: ("SignatureDoesNotMatch", 403, TOO_OLD),
    Why.NOT_OURS: ("AccessDenied", 403, NOT_OURS),
}
EC2 = {
    **{each: ("AuthFailure", 401, NOT_VALIDATED) for each in Why},
    Why.EXPIRED_TOKEN: ("RequestExpired", 400, "Request has expired."),
    Why.OLD: ("RequestExpired", 400, "Request has expired."),
    Why.NOT_OURS: ("UnauthorizedOperation", 403, NOT_OURS),
}
OTHER_XML = {"cloudfront", "route53"}


class RefusedError(Exception):
    """The call is refused before it reaches moto."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


def answer(why: Why, service: str, headers: Mapping[str, str]) -> Answer:
    """The answer of `service` (its name in the signature) to a request with these headers."""
    of_s3 = service in {"", "s3"} and not _is_form(headers)
    xml = (EC2 if service == "ec2" else S3 if of_s3 else QUERY)[why]
    return respond(service, headers, xml=xml, in_json=JSON[why])


def is_json(service: str, headers: Mapping[str, str]) -> bool:
    """Does the service answer this request in JSON (or CBOR, which is JSON in bytes)?"""
    if headers.get("smithy-protocol") == "rpc-v2-cbor" or "X-Amz-Target" in headers:
        return True
    return not _is_form(headers) and service not in OTHER_XML | {"", "s3"}


def respond(service: str, headers: Mapping[str, str], *, xml: Error, in_json: Error) -> Answer:
    """An error (code, HTTP status, text) in the protocol of the request."""
    if is_json(service, headers):
        code, status, text = in_json
        if headers.get("smithy-protocol") == "rpc-v2-cbor":
            body = b"\xa2" + b"".join(map(_cbor, ("__type", code, "message", text)))
            shown = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
            return status, shown, body
        if "X-Amz-Target" in headers:
            body = json.dumps({"__type": code, "message": text}).encode()
            return status, {"Content-Type": "application/x-amz-json-1.1"}, body
        shown = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
        return max(status, 403), shown, json.dumps({"message": text}).encode()
    code, status, text = xml
    error = f"<Code>{code}</Code><Message>{escape(text)}</Message>"
    # Not from moto's generator: an answer to a stranger must not help to predict it.
    id = f"<RequestId>{secrets.token_hex(16)}</RequestId>"
    if _is_form(headers) and service == "ec2":
        found = f"<Response><Errors><Error>{error}</Error></Errors>{id}</Response>"
    elif _is_form(headers) or service in OTHER_XML:
        found = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>{id}</ErrorResponse>"
    else:
        found = f"<Error>{error}{id}</Error>"
    return status, {"Content-Type": "application/xml"}, found.encode()


def _is_form(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")


def _cbor(text: str) -> bytes:
    """A string of less than 65,536 bytes (RFC 8949, 3.1)."""
    data = text.encode()
    return bytes([0x79, *divmod(len(data), 256)]) + data
