"""The stage's own API, with its key out of Secrets Manager."""

from typing import Any
from urllib.parse import quote

from scripts.aws import Aws
from scripts.errors import DeniedError, NotFoundError, OperatorError, UnreachableError
from stacks.config.naming import Output

SECONDS = 20
NOT_FOUND, REFUSED, THROTTLED, BROKEN = 404, (401, 403), 429, 500


class Api:
    """Calls of `/api/v1/…`; every failure is an `OperatorError`."""

    def __init__(self, aws: Aws, *, key: str = "") -> None:
        """With the stage's own key; while two are valid the old one, which every task knows."""
        import httpx

        self.url = aws.output(Output.URL).rstrip("/")
        if not key:
            secret = aws.call(
                "secretsmanager", "get_secret_value", SecretId=aws.output(Output.API_KEY_SECRET)
            )
            key = secret["SecretString"].split()[0]
        self._client = httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"X-API-Key": key},
            timeout=SECONDS,
            trust_env=not aws.target.is_local,  # a proxy does not know the twin
        )

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def get(self, *path: str, **query: Any) -> Any:
        """The JSON under that path; each part of it is escaped. `None` in a query is left out."""
        return self._ask("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, *path: str, **body: Any) -> Any:
        """The JSON that it answers."""
        return self._ask("POST", path, json=body)

    def delete(self, *path: str, **query: Any) -> Any:
        """The JSON that it answers, None where there is none."""
        return self._ask("DELETE", path, params=query)

    def _ask(self, method: str, path: tuple[str, ...], **given: Any) -> Any:
        import httpx

        try:
            answer = self._client.request(
                method, "/".join(quote(part, safe="") for part in path), **given
            )
        except httpx.TransportError as error:
            raise UnreachableError(
                f"{self.url} does not answer: {error}",
                "Is the API up? `moor status` and `moor logs api` tell.",
            ) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise explain(answer.status_code, _detail(answer), self.url)


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
    """What a problem document says (RFC 9457), with its fields, or the beginning of what came."""
    try:
        problem = answer.json()
        detail, errors = str(problem["detail"]), problem.get("errors", [])
        if len(errors) > 1:
            return "; ".join(f"{each['field']}: {each['message']}" for each in errors)
        if errors and errors[0]["field"] not in detail:
            return f"{errors[0]['field']}: {detail}"
        return detail
    except (ValueError, KeyError, TypeError):
        # A balancer's page of HTML has no more to say than its status has.
        is_page = "html" in answer.headers.get("content-type", "")
        return str((not is_page and answer.text[:200].strip()) or answer.reason_phrase)
