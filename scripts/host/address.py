"""The API's address as seen from this machine: is it free, and is the API behind it ready?"""

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts.errors import OperatorError
from service.contract import READY_PATH

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
ANYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not listened on
TASKS_PATH = "/api/v1/tasks"
UNANSWERED = (OSError, http.client.HTTPException)
CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 3.0


@dataclass(frozen=True)
class Address:
    """Where the API listens: API_HOST and API_PORT."""

    host: str
    port: int

    @property
    def reachable_host(self) -> str:
        return "localhost" if self.host in LOOPBACK | ANYWHERE else self.host

    @property
    def url(self) -> str:
        return f"http://{self.reachable_host}:{self.port}"

    def check_free(self) -> None:
        """Raises `OperatorError` if the API could not listen there, or another process answers."""
        try:
            # "localhost" may be two addresses; a browser uses the one that answers.
            socket.create_connection((self.reachable_host, self.port), CONNECT_SECONDS).close()
        except OSError:
            pass
        else:
            raise self._taken("another process answers there")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            socket.create_server((self.host, self.port), family=family).close()
        except OSError as error:
            raise self._taken(str(error.strerror).lower()) from error

    def _taken(self, why: str) -> OperatorError:
        return OperatorError(
            f"the API cannot listen on {self.host}:{self.port}: {why}",
            f"Stop what uses it (`lsof -i :{self.port}` names it), or choose another port: put "
            f"API_PORT={self.port + 1} before the command.",
        )

    def why_not_ready(self) -> str | None:
        """None if the API is ready, otherwise its answer."""
        try:
            answer, body = self._get(READY_PATH, most=1000)
        except UNANSWERED as error:
            return f"no answer ({error})"
        text = body.decode(errors="replace")
        return None if answer.status == 200 else f"{answer.status} {answer.reason}: {text}"

    def tasks(self, key: str) -> list[dict[str, Any]]:
        """The tasks of the API; none if it does not answer."""
        try:
            answer, body = self._get(TASKS_PATH, {"X-API-Key": key} if key else {})
            found: list[dict[str, Any]] = json.loads(body)["items"] if answer.status == 200 else []
        except (*UNANSWERED, ValueError):
            return []
        return found

    def _get(
        self, path: str, headers: Mapping[str, str] | None = None, *, most: int | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(
            self.reachable_host, self.port, timeout=ANSWER_SECONDS
        )
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer, answer.read(most)
        finally:
            connection.close()
