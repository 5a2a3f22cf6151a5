"""The HTTP server of the ECS agent: metadata, credentials and protection of ECS tasks, and
sessions in them.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
"""

import asyncio
import json
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from moto.ecs.exceptions import ECSException

from scripts.host.guard import Guard
from scripts.host.loopback import V4, is_of_a_page, is_of_another_user, names_this_machine
from scripts.twin.backends import Backends
from scripts.twin.client.state import Twin
from scripts.twin.ecs import execute, lookup, protection
from scripts.twin.ecs.task_roles import TaskRoles
from scripts.twin.event_loop import Loop, close
from scripts.twin.iam.denial import sentence
from scripts.twin.iam.evaluation import Right
from scripts.twin.ssm.sessions import Sessions

STATE_PATH = "/api/{id}/task-protection/v1/state"
PROTECTION_KEYS = {"ProtectionEnabled", "ExpiresInMinutes"}


class Metadata:
    """Answers on the twin's agent URL. Callers need the secret in its path; pages in a browser are
    refused."""

    def __init__(self, backends: Backends, twin: Twin, guard: Guard | None) -> None:
        self._backends = backends
        parts = urlsplit(twin.agent_url)
        self._port, self._root = int(parts.port or 0), parts.path
        self._loop = Loop("metadata")
        self._sessions = Sessions(twin.agent_url, guard)
        execute.apply(self._sessions)

    def start(self) -> None:
        """Raises `OSError` if the port is taken."""
        self._loop.start()
        self._loop.do(self._open())

    def stop(self) -> None:
        """End every session, and then the server."""
        self._loop.do(self._close())
        self._loop.stop()

    async def _open(self) -> None:
        application = web.Application(middlewares=[self._refuse_strangers])
        add = application.router.add_route
        add("GET", f"{self._root}/v4/{{id}}", self._container)
        add("GET", f"{self._root}/v4/{{id}}/task", self._task)
        add("GET", self._root + STATE_PATH, self._get_protection)
        add("PUT", self._root + STATE_PATH, self._put_protection)
        add("GET", f"{self._root}/v2/credentials/{{id}}", self._credentials)
        add("GET", self._root + self._sessions.path, self._sessions.serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, V4, self._port, reuse_address=True).start()

    @web.middleware
    async def _refuse_strangers(self, request: web.Request, handler: Any) -> web.StreamResponse:
        is_ours = names_this_machine(request.headers.get("Host"), self._port)
        peer = request.transport.get_extra_info("peername") if request.transport else None
        # Other users could read a session's secret: `ps` shows the plugin's arguments.
        is_strange = not is_ours or peer is None or is_of_another_user(peer[1], self._port)
        if is_strange or is_of_a_page(request.headers, request.method):
            return web.Response(status=403, text="The local twin answers its own ECS tasks only.\n")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _close(self) -> None:
        await self._sessions.close()
        await close(self._runner)

    def _find(self, request: web.Request) -> tuple[Any, Any] | None:
        return lookup.by_runtime_id(self._backends.ecs, request.match_info["id"])

    async def _container(self, request: web.Request) -> web.Response:
        known = self._find(request)
        return web.json_response(_container(*known)) if known else _unknown(request)

    async def _task(self, request: web.Request) -> web.Response:
        known = self._find(request)
        return web.json_response(_task(known[0])) if known else _unknown(request)

    async def _credentials(self, request: web.Request) -> web.Response:
        known = lookup.by_credentials_id(self._backends.ecs, request.match_info["id"])
        session = TaskRoles.of(known[0], self._backends).session if known else None
        if session is None:
            words = "Credentials ID not found"
            return web.json_response({"code": "InvalidIdInRequest", "message": words}, status=400)
        return web.json_response(session.credentials)

    def _denial(self, task: Any, action: str) -> web.Response | None:
        """ECS's agent makes this call with the task role."""
        roles = TaskRoles.of(task, self._backends)
        if (session := roles.session) is None:
            return None
        cluster = {"ecs:cluster": [task.cluster_arn]}
        right = Right(action, task.task_arn, cluster)
        if (verdict := roles.judge.refusal(session, right)) is None:
            return None
        words = sentence(session.arn, right, verdict)
        return _error(400, "AccessDeniedException", words, task.task_arn)

    async def _get_protection(self, request: web.Request) -> web.Response:
        if (known := self._find(request)) is None:
            return _error(404, "ResourceNotFoundException", "Failed to find a task for the request")
        task = known[0]
        if (denied := self._denial(task, "ecs:GetTaskProtection")) is not None:
            return denied
        answer = await asyncio.to_thread(
            protection.get, self._backends.ecs, task.cluster_name, [task.task_arn]
        )
        return _protection(answer)

    async def _put_protection(self, request: web.Request) -> web.Response:
        if (known := self._find(request)) is None:
            return _error(404, "ResourceNotFoundException", "Failed to find a task for the request")
        task = known[0]
        try:
            asked = json.loads(await request.text())
            is_known = isinstance(asked, dict) and set(asked) <= PROTECTION_KEYS
        except ValueError:
            is_known = False
        if not is_known:
            words = "UpdateTaskProtection: failed to decode request"
            return _error(400, "InvalidParameterException", words, task.task_arn)
        if not isinstance(asked.get("ProtectionEnabled"), bool):
            words = "Invalid request: does not contain 'ProtectionEnabled' field"
            return _error(400, "InvalidParameterException", words, task.task_arn)
        if (denied := self._denial(task, "ecs:UpdateTaskProtection")) is not None:
            return denied
        minutes = asked.get("ExpiresInMinutes")
        try:
            answer = await asyncio.to_thread(
                protection.update, self._backends.ecs, task.cluster_name, [task.task_arn],
                is_wanted=asked["ProtectionEnabled"],
                minutes=protection.MINUTES if minutes is None else int(minutes),
            )  # fmt: skip
        except (ECSException, ValueError, TypeError) as error:
            words = getattr(error, "message", str(error))
            return _error(400, "InvalidParameterException", words, task.task_arn)
        return _protection(answer)


def _protection(answer: protection.Answer) -> web.Response:
    """The answer in the agent's form; ECS's agent answers a failure with status 200 too."""
    for failure in answer["failures"]:
        shown = {"Arn": failure["arn"], "Reason": failure["reason"]}
        if "detail" in failure:
            shown["Detail"] = failure["detail"]
        return web.json_response({"failure": shown})
    (state,) = answer["protectedTasks"]
    shown = {"ProtectionEnabled": state["protectionEnabled"], "TaskArn": state["taskArn"]}
    if state.get("expirationDate"):
        shown["ExpirationDate"] = _moment(state["expirationDate"])
    return web.json_response({"protection": shown})


def _error(status: int, code: str, words: str, arn: str = "") -> web.Response:
    error = {"Arn": arn, "Code": code, "Message": words}
    return web.json_response({"error": error}, status=status)


def _unknown(request: web.Request) -> web.Response:
    words = f"V4 metadata handler: unable to get container {request.match_info['id']}"
    return web.json_response(words, status=404)


def _container(task: Any, container: Any) -> dict[str, Any]:
    family, revision = _family(task)
    options = (container.definition.get("logConfiguration") or {}).get("options", {})
    return {
        "DockerId": container.runtime_id,
        "Name": container.name,
        "DockerName": container.name,
        "Image": container.image,
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster_arn,
            "com.amazonaws.ecs.container-name": container.name,
            "com.amazonaws.ecs.task-arn": task.task_arn,
            "com.amazonaws.ecs.task-definition-family": family,
            "com.amazonaws.ecs.task-definition-version": revision,
        },
        "DesiredStatus": task.desired_status,
        "KnownStatus": container.last_status,
        "Limits": {"CPU": int(container.definition.get("cpu") or 0)},
        "Type": "NORMAL",
        "LogDriver": "awslogs",
        "LogOptions": {**options, "awslogs-region": task.region_name},
        "ContainerARN": container.container_arn,
        "Networks": [
            {"NetworkMode": "awsvpc", "IPv4Addresses": [each["privateIpv4Address"]]}
            for each in container.network_interfaces
        ],
    }


def _task(task: Any) -> dict[str, Any]:
    family, revision = _family(task)
    answer = {
        "Cluster": task.cluster_arn,
        "TaskARN": task.task_arn,
        "Family": family,
        "Revision": revision,
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.last_status,
        "Limits": {"CPU": int(task.cpu or 0) / 1024, "Memory": int(task.memory or 0)},
        "AvailabilityZone": task.availability_zone,
        "LaunchType": "FARGATE",
        "Containers": [_container(task, each) for each in task.containers],
    }
    if task.group.startswith("service:"):
        answer["ServiceName"] = task.group.removeprefix("service:")
    for name, field in (("PullStartedAt", "pull_started_at"), ("PullStoppedAt", "pull_stopped_at")):
        if at := getattr(task, field, None):
            answer[name] = _moment(at)
    return answer


def _family(task: Any) -> list[str]:
    family, _, revision = task.task_definition_arn.rpartition("/")[2].rpartition(":")
    return [family, revision]


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
