"""The client of a stage's API. It takes the API key from Secrets Manager."""

import getpass
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from scripts.aws import Aws
from scripts.errors import DeniedError, NotFoundError, OperatorError, UnreachableError
from stacks.config.naming import Output

TIMEOUT_SECONDS = 20
WHO_MAX_CHARACTERS = 100  # as the API takes it
NOT_FOUND, REFUSED, THROTTLED, BROKEN = 404, (401, 403), 429, 500


class Api:
    """Calls of `/api/v1/…`; every failure is an `OperatorError`."""

    def __init__(self, aws: Aws, *, key: str = "") -> None:
        """Without `key`, the stage's first API key. While two are valid that is the old one, which
        every ECS task of the API knows."""
        import httpx

        self._aws = aws
        self.url = aws.output(Output.URL).rstrip("/")
        if not key:
            secret = aws.call(
                "secretsmanager", "get_secret_value", SecretId=aws.output(Output.API_KEY_SECRET)
            )
            key = secret["SecretString"].split()[0]
        self._client = httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"X-API-Key": key},
            timeout=TIMEOUT_SECONDS,
            trust_env=not aws.target.is_local,  # a proxy does not know the twin
        )

    @property
    def who(self) -> str:
        """Who is at work, for the audit log: the name at AWS, or on this machine."""
        return _operator(self._aws)

    def console_link(self, *, may_act: bool = True) -> str:
        """An address that opens the console signed in: once, within a minute."""
        made = self.post("console", "links", who=self.who, may_act=may_act)
        return f"{self.url}{made['path']}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, *path: str, **query: Any) -> Any:
        """The JSON answer. Each part of the path is escaped; a query of `None` is not sent."""
        return self._request("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, *path: str, **body: Any) -> Any:
        """The JSON answer."""
        return self._request("POST", path, json=body)

    def delete(self, *path: str, **query: Any) -> Any:
        """The JSON answer, or None where the body is empty."""
        return self._request("DELETE", path, params=query)

    def _request(self, method: str, path: tuple[str, ...], **given: Any) -> Any:
        import httpx

        try:
            answer = self._client.request(
                method, "/".join(quote(part, safe="") for part in path), **given
            )
        except httpx.TransportError as error:
            raise UnreachableError(
                f"{self.url} does not answer: {error}",
                "Is the API up? `moor status` and `moor logs api` show it.",
            ) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise explain(answer.status_code, _detail(answer), self.url)


def _operator(aws: Aws) -> str:
    if aws.target.is_local:
        with suppress(KeyError, OSError):  # a user without a name, as in a container
            return getpass.getuser()[:WHO_MAX_CHARACTERS]
        return "somebody on this machine"
    arn: str = aws.call("sts", "get_caller_identity")["Arn"]
    return arn.rpartition("/")[2][:WHO_MAX_CHARACTERS]


def explain(status: int, detail: str, url: str) -> OperatorError:
    """The error for an answer that is not a success."""
    if status in REFUSED:
        return DeniedError(
            f"the API refuses this: {detail}", "Has the key changed since it started?"
        )
    if status == NOT_FOUND:
        return NotFoundError(detail)
    if status == THROTTLED or status > BROKEN:
        return UnreachableError(
            f"{url} answers {status}: {detail}", "`moor status` shows its state."
        )
    return OperatorError(detail)


def _detail(answer: Any) -> str:
    """The detail and fields of a problem document (RFC 9457), or the beginning of another body."""
    try:
        problem = answer.json()
        detail, errors = str(problem["detail"]), problem.get("errors", [])
        if len(errors) > 1:
            return "; ".join(f"{each['field']}: {each['message']}" for each in errors)
        if errors and errors[0]["field"] not in detail:
            return f"{errors[0]['field']}: {detail}"
        return detail
    except (ValueError, KeyError, TypeError):
        # The load balancer's HTML page says no more than its status code.
        is_page = "html" in answer.headers.get("content-type", "")
        return str((not is_page and answer.text[:200].strip()) or answer.reason_phrase)
