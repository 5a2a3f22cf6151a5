"""Which AWS calls the code makes, by process and by `moor` command, read from its source."""

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import botocore.session
from botocore import xform_name

from scripts.aws_errors import PREFIXES
from scripts.commands import COMMANDS
from service.contract import ProcessName
from stacks.config.naming import Output
from stacks.config.operator_rights import PROJECT_SECRET
from tests.agreement.call_graph import Code, Place, Reach
from tests.conftest import ROOT

LOCAL = {"up", "dev", "down", "new", "domain", "upgrade", "adopt", "ci"}
# They look where there is no stage yet, or no more: for those who deploy.
OF_DEPLOYERS = {"preflight", "leftovers"}
# They pass on what others have written down: a call whose words are not in the source.
PASS_ON = {"scripts.aws.Aws.together", "scripts.ecs.services.find_services"}
OF_SECRETS = "scripts.secrets."  # whatever is called there is about one of the project's
# Several calls of an API that one right allows.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
RIGHTS = {
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:DeleteObjects": "s3:DeleteObject",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
PROTECTION_PATH = "/task-protection/v1/state"
PROTECTION = {"put": "ecs:UpdateTaskProtection", "get": "ecs:GetTaskProtection"}
# What the code of one backend of the queue is, in no other.
BACKENDS = {
    "postgresql": {"service.queue.factory._create_redis", "service.queue.factory._create_sqs"},
    "redis": {"service.queue.factory._create_sqs"},
    "sqs": {"service.queue.factory._create_redis"},
}
# What only whoever runs jobs does.
TAKES_JOBS = {
    "service.processes.worker_process", "service.queue.worker.worker",
    "service.queue.postgres.postgres_consumer", "service.queue.redis.redis_consumer",
    "service.queue.sqs.sqs_consumer",
}  # fmt: skip
TASK_DECORATORS = ("task", "scheduled_task")
HOOK_DECORATORS = ("on_startup", "on_shutdown")


@dataclass(frozen=True, order=True)
class Call:
    """A right that a call asks for, in IAM's words; `output` is the secret that it is about."""

    right: str
    where: str
    output: str = ""


class UnreadableCallError(Exception):
    """A call's service and operation do not stand in the source where it is made."""


@functools.cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


@functools.cache
def operations(service: str) -> dict[str, str]:
    """IAM's action by boto3's name of the operation; empty for what is no AWS service."""
    session = _session()
    if service not in session.get_available_services():
        return {}
    prefix = PREFIXES.get(service, service)
    found = {}
    for name in session.get_service_model(service).operation_names:
        action = f"{prefix}:{name}"
        found[xform_name(name)] = RIGHTS.get(action, action)
    return found


class Source:
    """The project's code; `planted` is added to the ends of files, which may be new."""

    def __init__(self, planted: Mapping[str, str] = MappingProxyType({})) -> None:
        # What the twin does, and what is told to it, is no call of AWS.
        self.code = Code(ROOT, ("service", "scripts", "stacks"), unread=["scripts/twin"])
        for file, text in planted.items():
            self.code.plant(file, text)
        self.process = functools.cache(self._process)
        self.command = functools.cache(self._command)

    def _process(self, process: ProcessName, backend: str = "postgresql") -> "Called":
        """What a process of the image calls by itself."""
        cut = set(BACKENDS[backend])
        if process is ProcessName.HEALTHCHECK:
            starts = self.code.places("service.processes.healthcheck")
        elif process is ProcessName.MIGRATE:
            starts = [Place("service.__main__", "_migrate")]
        elif process is ProcessName.WORKER:
            starts = [
                Place("service.processes.worker_process", "run"),
                *self._tasks(),
                *self._hooks(),
            ]
        else:
            starts = [Place("service.api.server.http_server", "run"), *self._routes()]
            # It names tasks, to enqueue them, and runs none.
            cut |= {str(place) for place in self._tasks()} | TAKES_JOBS
        return Called(self.code.reach(starts, without=cut))

    def _domain(self, *endings: str) -> Iterator[str]:
        for name in self.code.modules:
            if name.startswith("service.domain.") and name.endswith(endings):
                yield name

    def _tasks(self) -> list[Place]:
        modules = self._domain(".jobs.tasks", ".jobs.scheduled")
        return [p for name in modules for p in self.code.decorated(name, TASK_DECORATORS)]

    def _hooks(self) -> list[Place]:
        modules = self._domain(".jobs.startup", ".jobs.shutdown")
        return [p for name in modules for p in self.code.decorated(name, HOOK_DECORATORS)]

    def _routes(self) -> list[Place]:
        modules = [*self._domain(".routes"), *(m for m in self.code.modules if "service.api" in m)]
        return [place for name in modules for place in self.code.places(name)]

    def commands(self) -> dict[str, frozenset[Call]]:
        """Every `moor` command that works on a deployed stage, with its calls."""
        names = [name for name in COMMANDS if name not in LOCAL | OF_DEPLOYERS]
        return {name: self.command(name) for name in names}

    def _command(self, name: str) -> frozenset[Call]:
        """Raises `UnreadableCallError` where a call's words are not beside it."""
        module, _, attribute = f"scripts.commands.{COMMANDS[name][0]}".partition(":")
        starts = [Place(module, attribute)]
        if attribute == "app":
            starts = self.code.decorated(module, ["app"])
        return frozenset(operator_calls(self.code.reach(starts)))


@functools.cache
def source_of_today() -> Source:
    """As it stands; read once."""
    return Source()


class Called:
    """What a process calls, and whatever else of it concerns its role."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self.rights = {call.right for call in client_calls(reach)}
        # The prefixes of the bucket that its code names.
        self.prefixes = {
            place.name
            for place in reach.places
            if place.module == "service.contract" and place.name.endswith("_PREFIX")
        }

    @property
    def services(self) -> set[str]:
        return {right.partition(":")[0] for right in self.rights}


def client_calls(reach: Reach) -> Iterator[Call]:
    """Of the service: any operation of a client that is made somewhere in what is reached."""
    made: set[str] = set()
    for _, node in reach.nodes():
        for call in _calls(node, {"client"}):
            made.update(_texts(call.args[:1]))
    for place, node in reach.nodes():
        named = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
        for call in _calls(node, {"generate_presigned_url", "get_paginator", "get_waiter"}):
            named.update(_texts(call.args[:1]))
        for service in made:
            for operation in named & operations(service).keys():
                yield Call(operations(service)[operation], str(place))
        if PROTECTION_PATH in _texts(ast.walk(node)):
            for verb in named & PROTECTION.keys():
                yield Call(PROTECTION[verb], str(place))


def operator_calls(reach: Reach) -> Iterator[Call]:
    """Of a command: `aws.call("ecs", "run_task", …)`, `aws.pages(…)`, and the triples of
    `aws.together`."""
    for place, node in reach.nodes():
        constants = _module_constants(reach.code.modules[place.module].tree) | _constants(node)
        for call in _calls(node, {"call", "pages"}):
            if str(place) in PASS_ON:
                continue
            if not (rights := _rights(call.args, constants)):
                line = ast.unparse(call)
                raise UnreadableCallError(f"{place}: {line}: name service and operation here")
            about = PROJECT_SECRET if place.module.startswith(OF_SECRETS) else _output(call)
            yield from (Call(right, str(place), about) for right in rights)
        for each in ast.walk(node):
            if isinstance(each, ast.Tuple) and len(each.elts) == 3:
                yield from (Call(right, str(place)) for right in _rights(each.elts, constants))


def _rights(words: list[ast.expr], constants: dict[str, set[str]]) -> list[str]:
    """Of a service and an operation of it; several where either has more than one value."""
    if len(words) < 2:
        return []
    return [
        right
        for service in _values(words[0], constants)
        for operation in _values(words[1], constants)
        if (right := operations(service).get(operation))
    ]


def _calls(node: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            called = each.func
            name = called.attr if isinstance(called, ast.Attribute) else called
            if (name.id if isinstance(name, ast.Name) else name) in names:
                yield each


def _values(node: ast.expr, constants: dict[str, set[str]]) -> set[str]:
    """The texts that it may be."""
    if isinstance(node, ast.IfExp):
        return _values(node.body, constants) | _values(node.orelse, constants)
    if isinstance(node, ast.Name):
        return constants.get(node.id, set())
    return _texts([node])


def _texts(nodes: Iterable[ast.AST]) -> set[str]:
    return {
        each.value
        for each in nodes
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


@functools.cache
def _module_constants(tree: ast.Module) -> dict[str, set[str]]:
    return _constants(tree)


def _constants(node: ast.AST) -> dict[str, set[str]]:
    return {
        target.id: found
        for each in ast.walk(node)
        if isinstance(each, ast.Assign) and (found := _values(each.value, {}))
        for target in each.targets
        if isinstance(target, ast.Name)
    }


def _output(call: ast.Call) -> str:
    """The stack's output that names what the call is about. A process is told the database's
    secret in its environment, and so is whoever reads its task definition."""
    named = {each.attr for each in ast.walk(call) if isinstance(each, ast.Attribute)}
    if "secret_arn" in named:
        return Output.DATABASE_SECRET
    return next((str(output) for output in Output if output.name in named), "")
