"""The AWS port lets this twin's own callers in, by their key and signature, and nobody else."""

import http.client
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from scripts.aws import Aws
from scripts.target import Target
from stacks.config.read_stage import read_stage
from tests.twin.conftest import Ecs

ROLE = "arn:aws:iam::123456789012:role/anybody"
BUCKET = "gate"
HTTP = httpx.Client()  # one: making one takes longer than all its requests


def port_of(ecs: Ecs) -> int:
    return urlsplit(ecs.twin.endpoint).port or 0


def client(ecs: Ecs, service: str, *key: str | None, **config: Any) -> Any:
    """boto3 with this key, secret and token; without one, with the twin's."""
    id, secret, token = (
        (*key, None)[:3] if key else (ecs.twin.access_key, ecs.twin.secret_key, None)
    )
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=ecs.twin.endpoint, region_name=ecs.twin.region,
        aws_access_key_id=id, aws_secret_access_key=secret, aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )  # fmt: skip


@pytest.fixture(scope="module")
def bucket(ecs: Ecs) -> str:
    client(ecs, "s3").create_bucket(Bucket=BUCKET)
    return BUCKET


# --- what a caller without the key is told: a service of each protocol, in its own words ---

CALLS: dict[str, Callable[[Any], Any]] = {
    "ecs": lambda it: it.list_clusters(),
    "sts": lambda it: it.get_caller_identity(),
    "ec2": lambda it: it.describe_subnets(),
    "s3": lambda it: it.list_buckets(),
    "cloudwatch": lambda it: it.list_metrics(),
    "lambda": lambda it: it.list_functions(),
    "route53": lambda it: it.list_hosted_zones(),
    "secretsmanager": lambda it: it.list_secrets(),
}
UNKNOWN = {
    "ecs": "UnrecognizedClientException", "sts": "InvalidClientTokenId", "ec2": "AuthFailure",
    "s3": "InvalidAccessKeyId", "cloudwatch": "UnrecognizedClientException",
    "lambda": "UnrecognizedClientException", "route53": "InvalidClientTokenId",
    "secretsmanager": "UnrecognizedClientException",
}  # fmt: skip
WRONG = {
    "ecs": "InvalidSignatureException", "sts": "SignatureDoesNotMatch", "ec2": "AuthFailure",
    "s3": "SignatureDoesNotMatch", "cloudwatch": "InvalidSignatureException",
    "lambda": "InvalidSignatureException", "route53": "SignatureDoesNotMatch",
    "secretsmanager": "InvalidSignatureException",
}  # fmt: skip


def code_of(ecs: Ecs, service: str, *key: str | None, **config: Any) -> str:
    with pytest.raises(ClientError) as refused:
        CALLS[service](client(ecs, service, *key, **config))
    return str(refused.value.response["Error"]["Code"])


@pytest.mark.parametrize("service", CALLS)
def test_each_protocol_answers_its_caller_and_refuses_others_in_its_own_words(
    ecs: Ecs, service: str
) -> None:
    CALLS[service](client(ecs, service))

    assert code_of(ecs, service, "AKIAIOSFODNN7EXAMPLE", "x") == UNKNOWN[service]
    assert code_of(ecs, service, ecs.twin.access_key, "x") == WRONG[service]


def test_guessed_keys_are_refused(ecs: Ecs) -> None:
    words = ("test", "twin", "local", "x", "testing", "dummy", "foo", "FOOBARKEY", "mock", "minio")
    guesses = [(id, secret) for id in words for secret in words]
    own = [(ecs.twin.access_key, word) for word in (*words, "", ecs.twin.access_key)]
    cut = [(ecs.twin.access_key[:-1], ecs.twin.secret_key), (ecs.twin.access_key.lower(), "x")]
    near = [(ecs.twin.access_key, ecs.twin.secret_key[:-1]), ("", ecs.twin.secret_key)]

    refused = [status(ecs, *guess) for guess in (*guesses, *own, *cut, *near)]

    assert set(refused) == {403}
    assert status(ecs, ecs.twin.access_key, ecs.twin.secret_key) == 200


def status(ecs: Ecs, id: str, secret: str) -> int:
    """Of a signed ListBuckets."""
    return ask(ecs, signed(ecs, id, secret)).status_code


def signed(
    ecs: Ecs, id: str, secret: str, *, method: str = "GET", path: str = "/", body: bytes = b"",
    signer: type[SigV4Auth] = S3SigV4Auth, service: str = "s3", **headers: str,
) -> AWSRequest:  # fmt: skip
    request = AWSRequest(method, ecs.twin.endpoint + path, headers=headers, data=body)
    signer(Credentials(id, secret), service, "us-east-1").add_auth(request)
    return request


def ask(ecs: Ecs, request: AWSRequest, **changed: str) -> httpx.Response:
    headers = {**dict(request.headers.items()), **changed}
    url, body = str(request.url), request.data or b""
    return HTTP.request(str(request.method), url, headers=headers, content=body)


def test_a_request_without_a_signature_is_refused_whatever_it_asks_for(ecs: Ecs) -> None:
    for headers, code in (
        ({}, "AccessDenied"),
        ({"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.RunTask"},
         "MissingAuthenticationTokenException"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "MissingAuthenticationToken"),
        ({"Authorization": "Basic eDp5"}, "AccessDenied"),
        ({"Authorization": "AWS x:y"}, "AccessDenied"),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request"}, "AccessDenied"),
    ):  # fmt: skip
        answer = HTTP.post(ecs.twin.endpoint, headers=headers, content=b"Action=X")
        assert answer.status_code in {400, 403}
        assert code in answer.text
    body = "Action=AssumeRoleWithWebIdentity&RoleArn=x&RoleSessionName=x&WebIdentityToken=x"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert HTTP.post(ecs.twin.endpoint, headers=form, content=body).status_code == 403


def test_a_signature_that_cannot_be_read_is_refused_as_any_other(ecs: Ecs) -> None:
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    good = f"{ecs.twin.access_key}/{now[:8]}/us-east-1/s3/aws4_request"
    for credential, signed_headers, signature in (
        (good, "host", "é"), (good, "", ""), (good, "host;host;;x", "0" * 64), (good, "é", "\xff"),
        (good.replace("s3", ""), "host", "0"), (good.replace("us-east-1", "é"), "host", "0"),
        (good.replace(now[:8], ""), "host", "0"), (f"/{good}", "host", "0"), ("////", "host", "0"),
        (good.replace("s3", "../../x"), "host", "0"), ("", "", ""), (good + "/", "host", "0"),
    ):  # fmt: skip
        header = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed_headers}, "
        headers = {"Authorization": f"{header}Signature={signature}", "X-Amz-Date": now}
        sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        link = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": credential,
                "X-Amz-SignedHeaders": signed_headers, "X-Amz-Signature": signature}  # fmt: skip
        old = {"AWSAccessKeyId": ecs.twin.access_key, "Signature": signature, "Expires": "9" * 99}
        for answer in (
            HTTP.get(ecs.twin.endpoint, headers=sent),
            HTTP.get(ecs.twin.endpoint, headers={**sent, b"X-Amz-Date": b"never"}),
            HTTP.get(ecs.twin.endpoint, params={**link, "X-Amz-Date": now}),
            HTTP.get(ecs.twin.endpoint, params={**link, "X-Amz-Expires": "x", "X-Amz-Date": now}),
            HTTP.get(ecs.twin.endpoint, params=old),
        ):
            assert answer.status_code in {400, 403}, (credential, signature, answer.text)


@pytest.mark.parametrize(
    "path", ["/moto-api/reset", "/moto-api/data.json", "/moto-api/", "/latest/meta-data/iam/",
             "/latest/api/token", "/favicon.ico", "/%6doto-api/reset", "//moto-api/reset"],
)  # fmt: skip
def test_what_moto_has_beside_aws_is_closed(ecs: Ecs, path: str) -> None:
    assert HTTP.post(ecs.twin.endpoint + path).status_code in {403, 404}
    own = ecs.twin.access_key, ecs.twin.secret_key
    with_key = ask(ecs, signed(ecs, *own, method="POST", path=path))
    assert b"status" not in with_key.content
    assert ecs.client.list_clusters()["clusterArns"]


# --- what has to be signed ---


def test_a_changed_request_does_not_have_its_signature_any_more(ecs: Ecs, bucket: str) -> None:
    own = ecs.twin.access_key, ecs.twin.secret_key
    put = {"method": "PUT", "path": f"/{bucket}/one", "body": b"as signed"}

    def made() -> AWSRequest:
        return signed(ecs, *own, **put)  # type: ignore[arg-type]

    assert ask(ecs, made()).status_code == 200
    assert ask(ecs, made(), **{"X-Amz-Content-SHA256": "0" * 64}).status_code == 403
    assert ask(ecs, made(), **{"X-Amz-Date": "20200101T000000Z"}).status_code == 403
    other = made()
    other.data = b"another"
    assert ask(ecs, other).status_code == 403
    other = made()
    other.method = "DELETE"
    assert ask(ecs, other).status_code == 403
    other = made()
    other.url = f"{other.url}?acl"
    assert ask(ecs, other).status_code == 403
    other = made()
    other.url = str(other.url).replace("/one", "/two")
    assert ask(ecs, other).status_code == 403
    unsigned = made()
    header = str(unsigned.headers["Authorization"])
    unsigned.headers.replace_header("Authorization", header.replace("host;", ""))
    assert ask(ecs, unsigned).status_code == 403


def test_an_old_request_is_refused(ecs: Ecs) -> None:
    class Late(S3SigV4Auth):
        def _set_necessary_date_headers(self, request: Any) -> None:
            old = datetime.now(UTC) - timedelta(minutes=16)
            request.context["timestamp"] = old.strftime("%Y%m%dT%H%M%SZ")
            super()._set_necessary_date_headers(request)  # type: ignore[misc]

    late = signed(ecs, ecs.twin.access_key, ecs.twin.secret_key, signer=Late)

    assert "RequestTimeTooSkewed" in ask(ecs, late).text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "gate.localhost"])
def test_this_machine_s_own_names_are_answered(ecs: Ecs, bucket: str, host: str) -> None:
    own = ecs.twin.access_key, ecs.twin.secret_key
    assert with_host(ecs, f"{host}:{port_of(ecs)}", *own) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{}", "localhost", "localhost:1", "127.0.0.1.evil.example:{}",
     "localhost.evil.example:{}", "evil-localhost:{}", "[::2]:{}", "0.0.0.0:{}", "127.0.0.2:{}",
     "localhost:{}, evil.example", "evil.example:{}@localhost:{}", ".localhost:{}", "", None],
)  # fmt: skip
def test_another_name_is_refused_even_with_a_right_signature(ecs: Ecs, host: str | None) -> None:
    name = None if host is None else host.replace("{}", str(port_of(ecs)))
    assert with_host(ecs, name, ecs.twin.access_key, ecs.twin.secret_key) in {400, 403}


def with_host(ecs: Ecs, host: str | None, id: str, secret: str) -> int:
    """The status of a request that is signed for, and sent with, this Host header."""
    request = AWSRequest("GET", f"http://{host or 'localhost'}/")
    request.headers["Host"] = host or ""
    S3SigV4Auth(Credentials(id, secret), "s3", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", port_of(ecs), timeout=10)
    connection.putrequest("GET", "/", skip_host=True)
    for name, value in request.headers.items():
        if host is not None or name != "Host":
            connection.putheader(name, value)
    connection.endheaders()
    try:
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:3000"},
     {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
     {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}],
)  # fmt: skip
def test_a_page_is_refused_even_with_a_right_signature(ecs: Ecs, headers: dict[str, str]) -> None:
    request = signed(ecs, ecs.twin.access_key, ecs.twin.secret_key)
    refused = ask(ecs, request, **headers)

    assert refused.status_code == 403
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert HTTP.options(ecs.twin.endpoint, headers=headers).status_code == 403


# --- forms of a signature that are right ---


@pytest.mark.parametrize(
    "config",
    [{}, {"s3": {"payload_signing_enabled": False}}, {"s3": {"addressing_style": "path"}},
     {"request_checksum_calculation": "when_required"}],
)  # fmt: skip
def test_objects_of_odd_names_go_there_and_back(
    ecs: Ecs, bucket: str, config: dict[str, Any]
) -> None:
    s3 = client(ecs, "s3", **({"s3": {"addressing_style": "path"}} | config))
    body = secrets.token_bytes(300_000)
    for key in ("plain", "with space+plus", "ü/ö//é", "a?b&c=d", "~tilde(1)", "%41", "./..", "x;y"):
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"of_key": "a  b"})
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="with space")["Contents"]
    assert [each["Key"] for each in listed] == ["with space+plus"]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_link_works_until_it_expires_or_is_changed(ecs: Ecs, bucket: str, version: str) -> None:
    s3 = client(ecs, "s3", signature_version=version, s3={"addressing_style": "path"})
    client(ecs, "s3", s3={"addressing_style": "path"}).put_object(
        Bucket=bucket, Key="a b", Body=b"linked"
    )
    given = {"Bucket": bucket, "Key": "a b", "ResponseContentDisposition": "attachment; x=1"}
    link = s3.generate_presigned_url("get_object", given)
    old = s3.generate_presigned_url("get_object", given, ExpiresIn=-1)

    assert HTTP.get(link).content == b"linked"
    assert "Request has expired" in HTTP.get(old).text
    assert HTTP.get(link.replace("a%20b", "plain")).status_code == 403
    assert HTTP.delete(link).status_code == 403
    upload = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "put"})
    assert HTTP.put(upload, content=b"by link").status_code == 200


def test_a_chunked_upload_with_signed_chunks_is_taken(ecs: Ecs, bucket: str) -> None:
    body = b"hello"
    signature = "0" * 64  # of a chunk: that of the request is what is checked here
    framed = b"".join(
        b"%x;chunk-signature=%s\r\n%s\r\n" % (len(each), signature.encode(), each)
        for each in (body, b"")
    )

    class Streaming(S3SigV4Auth):
        def payload(self, request: Any) -> str:
            return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

    request = signed(
        ecs, ecs.twin.access_key, ecs.twin.secret_key, method="PUT", path=f"/{bucket}/chunks",
        body=framed, signer=Streaming,
        **{"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": str(len(body))},
    )  # fmt: skip

    assert ask(ecs, request).status_code == 200
    read = client(ecs, "s3", s3={"addressing_style": "path"}).get_object(
        Bucket=bucket, Key="chunks"
    )
    assert read["Body"].read() == body


def sessions(ecs: Ecs) -> Iterator[dict[str, str]]:
    """Of each call that gives one."""
    sts = client(ecs, "sts")
    yield sts.assume_role(RoleArn=ROLE, RoleSessionName="one")["Credentials"]
    yield sts.get_session_token()["Credentials"]
    yield sts.get_federation_token(Name="one")["Credentials"]


def test_a_session_that_sts_gave_is_let_in_with_its_token_alone(ecs: Ecs) -> None:
    seen = set()
    for given in sessions(ecs):
        key = given["AccessKeyId"], given["SecretAccessKey"]
        seen.add(key)
        assert client(ecs, "sts", *key, given["SessionToken"]).get_caller_identity()
        assert code_of(ecs, "sts", *key) == "InvalidClientTokenId"
        assert code_of(ecs, "sts", *key, "another") == "InvalidClientTokenId"
        assert code_of(ecs, "sts", key[0], "x", given["SessionToken"]) == "SignatureDoesNotMatch"
    assert len(seen) == 3
    own = ecs.twin.access_key, ecs.twin.secret_key
    assert code_of(ecs, "sts", *own, "a token of nobody") == "InvalidClientTokenId"


def test_the_key_of_an_iam_user_is_let_in_until_it_is_off(ecs: Ecs) -> None:
    iam = client(ecs, "iam")
    name = f"user-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    pair = key["AccessKeyId"], key["SecretAccessKey"]
    assert client(ecs, "sts", *pair).get_caller_identity()["Arn"].endswith(name)

    iam.update_access_key(UserName=name, AccessKeyId=pair[0], Status="Inactive")

    assert code_of(ecs, "sts", *pair) == "InvalidClientTokenId"


def test_both_addresses_of_localhost_are_the_twin(ecs: Ecs) -> None:
    """Else another user could listen on the one, and be sent what is meant for the twin."""
    for url in (ecs.twin.endpoint, ecs.twin.url):
        port = urlsplit(url).port
        for address, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            with socket.socket(family) as other, pytest.raises(OSError):  # noqa: PT011 - any
                other.bind((address, port))


def test_a_large_body_of_a_stranger_is_not_read(ecs: Ecs) -> None:
    claimed = {"Content-Length": str(1 << 40), "X-Amz-Target": "AmazonSQS.SendMessage"}
    connection = http.client.HTTPConnection("127.0.0.1", port_of(ecs), timeout=10)
    connection.putrequest("POST", "/", skip_host=True)
    for name, value in {"Host": f"localhost:{port_of(ecs)}", **claimed}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()

    assert json.loads(answer.read())["__type"] == "MissingAuthenticationTokenException"
    connection.close()


OF_ANOTHER_AWS = (
    "AWS_PROFILE", "AWS_ENDPOINT_URL_ECS", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "BOTO_CONFIG",
    "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_DATA_PATH", "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS",
    "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_DEFAULTS_MODE", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
)  # fmt: skip


def test_a_command_asks_the_twin_whatever_the_terminal_is_set_up_for(
    ecs: Ecs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OF_ANOTHER_AWS:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    before = dict(os.environ)  # noqa: TID251
    key = ecs.twin.access_key, ecs.twin.secret_key

    aws = Aws(Target(read_stage("local"), ecs.twin.endpoint, ecs.twin.region, key))

    assert aws.call("ecs", "list_clusters")["clusterArns"]
    assert aws.call("s3", "list_buckets")
    assert dict(os.environ) == before  # noqa: TID251
