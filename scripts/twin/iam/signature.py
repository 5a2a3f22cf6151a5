"""Checks the signature of a request, which botocore computes as its client did.

Signature version 4 is in a header or in the URL (a presigned link). Version 2 is only in the URL:
boto3 signs links to S3 with it by default.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPMessage
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import HmacV1QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from scripts.twin.iam.access_keys import AccessKey, Keys
from scripts.twin.iam.refusal import RefusedError, Why

ALGORITHM = "AWS4-HMAC-SHA256"
STAMP = "%Y%m%dT%H%M%SZ"
SKEW = timedelta(minutes=15)
HASH = "X-Amz-Content-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
TOKEN = "X-Amz-Security-Token"  # noqa: S105
S3_SERVICES = {"s3", "s3express", "s3-object-lambda", "s3-outposts"}


@dataclass(frozen=True)
class Received:
    """A request as it was received; `target` is the path and query, not unescaped."""

    method: str
    target: str
    headers: HTTPMessage
    read: Callable[[], bytes]  # reads the body, which only a request with a known key needs

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def url(self) -> str:
        return f"http://{self.headers['Host']}{self.target}"


@dataclass(frozen=True)
class Signed:
    """The access key of a signature, and the service and region that it is for."""

    key: str
    service: str
    region: str


@dataclass(frozen=True)
class Claim:
    """What a request says about its signature."""

    credential: str
    signed: list[str]
    signature: str
    token: str | None
    stamp: str
    is_link: bool

    @property
    def scope(self) -> list[str]:
        """Key, day, region and service."""
        parts = self.credential.split("/")
        if len(parts) != 5 or parts[4] != "aws4_request":
            raise RefusedError(Why.WRONG_SIGNATURE)
        return parts[:4]


def service_of(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The AWS service that the signature names, even if it is wrong; empty without a signature."""
    scope = headers.get("Authorization", "").partition("Credential=")[2].partition(",")[0]
    parts = (scope or query.get("X-Amz-Credential", "")).split("/")
    return parts[3].lower() if len(parts) == 5 else ""


def check(request: Received, keys: Keys) -> Signed:
    """By whom and for what it is signed. Raises `RefusedError` unless by a known key."""
    query = request.query
    header = request.headers.get("Authorization")
    if header is None and "AWSAccessKeyId" in query:
        _check_version_2(request, query, keys)
        return Signed(query["AWSAccessKeyId"], "s3", "us-east-1")
    claim = _of_header(request, header) if header else _of_address(query)
    id, day, region, service = claim.scope
    key = _find(keys, id, claim.token)
    if "host" not in claim.signed or not claim.stamp.startswith(day):
        raise RefusedError(Why.WRONG_SIGNATURE)
    signer = _Signer(Credentials(key.id, key.secret), service, region, claim)
    signed = AWSRequest(request.method, request.url, headers=cast(Any, request.headers))
    signed.context = {"timestamp": claim.stamp, "body": _body_hash(request, claim, service)}
    if claim.is_link:
        signed.url = _without(request.url, "X-Amz-Signature")
    text = signer.string_to_sign(signed, signer.canonical_request(signed))
    if not _is_same(signer.signature(text, signed), claim.signature):
        raise RefusedError(Why.WRONG_SIGNATURE)
    _check_time(claim, query)
    return Signed(id, service.lower(), region)


class _Signer(SigV4Auth):
    """botocore's signer, for exactly the headers and body that the request says are signed."""

    def __init__(self, credentials: Credentials, service: str, region: str, claim: Claim) -> None:
        super().__init__(credentials, service, region)
        self._claim, self._is_s3 = claim, service in S3_SERVICES

    def headers_to_sign(self, request: Any) -> Any:
        found = HTTPMessage()
        for name, value in request.headers.items():
            if name.lower() in self._claim.signed:
                found[name.lower()] = value
        return found

    def canonical_request(self, request: Any) -> str:
        lines: list[str] = super().canonical_request(request).split("\n")
        return "\n".join([*lines[:-1], request.context["body"]])

    def _normalize_url_path(self, path: str) -> str:
        return path if self._is_s3 else str(super()._normalize_url_path(path))  # type: ignore[misc]


def _of_header(request: Received, header: str) -> Claim:
    algorithm, _, rest = header.partition(" ")
    given = dict(each.strip().partition("=")[::2] for each in rest.split(","))
    if algorithm != ALGORITHM or not {"Credential", "SignedHeaders", "Signature"} <= set(given):
        raise RefusedError(Why.NO_KEY)
    return Claim(
        given["Credential"], given["SignedHeaders"].split(";"), given["Signature"],
        request.headers.get(TOKEN), _stamp(request.headers), is_link=False,
    )  # fmt: skip


def _of_address(query: Mapping[str, str]) -> Claim:
    names = {"X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date"}
    if query.get("X-Amz-Algorithm") != ALGORITHM or not names <= set(query):
        raise RefusedError(Why.NO_KEY)
    return Claim(
        query["X-Amz-Credential"], query["X-Amz-SignedHeaders"].split(";"),
        query["X-Amz-Signature"], query.get(TOKEN), query["X-Amz-Date"], is_link=True,
    )  # fmt: skip


def _stamp(headers: HTTPMessage) -> str:
    return str(headers.get("X-Amz-Date") or headers.get("Date") or "")


def _find(keys: Keys, id: str, token: str | None) -> AccessKey:
    key = keys.find(id)
    if key is None or (key.token is None) != (token is None):
        raise RefusedError(Why.UNKNOWN_KEY)
    if key.token is not None and not _is_same(key.token, str(token)):
        raise RefusedError(Why.UNKNOWN_KEY)
    if key.expires is not None and key.expires.replace(tzinfo=UTC) < datetime.now(UTC):
        raise RefusedError(Why.EXPIRED_TOKEN)
    return key


def _body_hash(request: Received, claim: Claim, service: str) -> str:
    """The signed hash of the body. A hash in the headers must be that of the body."""
    if claim.is_link and service in S3_SERVICES:
        return str(request.headers.get(HASH) or UNSIGNED)
    said = request.headers.get(HASH)
    if said and (said == UNSIGNED or said.startswith("STREAMING-")):
        return said  # the signatures of chunks are not checked, but that of the headers is
    if said and hashlib.sha256(request.read()).hexdigest() != said:
        raise RefusedError(Why.WRONG_SIGNATURE)
    return said or hashlib.sha256(request.read()).hexdigest()


def _check_time(claim: Claim, query: Mapping[str, str]) -> None:
    try:
        at = datetime.strptime(claim.stamp, STAMP).replace(tzinfo=UTC)
        until = at + timedelta(seconds=int(query.get("X-Amz-Expires", 3600)))
    except (ValueError, OverflowError):
        raise RefusedError(Why.WRONG_SIGNATURE) from None
    now = datetime.now(UTC)
    if at > now + SKEW or (not claim.is_link and at < now - SKEW):
        raise RefusedError(Why.OLD)
    if claim.is_link and until < now:
        raise RefusedError(Why.EXPIRED_LINK)


def _check_version_2(request: Received, query: Mapping[str, str], keys: Keys) -> None:
    token = query.get(TOKEN.lower())
    key = _find(keys, query["AWSAccessKeyId"], token)
    try:
        expires = int(query["Expires"])
    except (KeyError, ValueError):
        raise RefusedError(Why.NO_KEY) from None

    class Signer(HmacV1QueryAuth):
        def _get_date(self) -> str:
            return str(expires)

    headers: Any = AWSRequest(headers=cast(Any, request.headers)).headers
    for name in [each for each in headers if each.lower().startswith("x-amz-")]:
        del headers[name]
    for name, value in query.items():
        if name.startswith("x-amz-") and name != TOKEN.lower():
            headers[name] = value
    if token is not None:
        headers[TOKEN.lower()] = token
    parts = urlsplit(request.url)
    bucket = str(request.headers["Host"]).partition(".localhost")
    path = f"/{bucket[0]}{parts.path}" if bucket[1] else parts.path
    signer = Signer(Credentials(key.id, key.secret, key.token))
    made = signer.get_signature(request.method, parts, headers, auth_path=path)
    if not _is_same(made, query.get("Signature", "")):
        raise RefusedError(Why.WRONG_SIGNATURE)
    if datetime.fromtimestamp(expires, UTC) < datetime.now(UTC):
        raise RefusedError(Why.EXPIRED_LINK)


def _without(url: str, name: str) -> str:
    before, _, query = url.partition("?")
    kept = [each for each in query.split("&") if each.partition("=")[0] != name]
    return f"{before}?{'&'.join(kept)}"


def _is_same(made: str, given: str) -> bool:
    return hmac.compare_digest(made.encode(), given.encode("utf-8", "replace"))
