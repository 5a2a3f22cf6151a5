"""Synthesized templates, to be asked and to be mutated."""

import copy
import dataclasses
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import app
from scripts.host.file_lock import FileLock
from service.contract import LOCAL_STAGE
from stacks.config.checks import check_stage
from stacks.config.read_stage import read_stage
from stacks.config.stage import Stage
from stacks.config.stages_file import stage_names
from tests.project import IS_KIT
from tests.scratch import shared_folder

CERTIFICATE = (
    "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
)
# `prod` as it comes asks for a certificate before anything else.
GIVEN: dict[str, dict[str, object]] = {"prod": {"certificate_arn": CERTIFICATE}}
FILE = Path(__file__).with_name("stages.toml")
STAGES = stage_names(FILE)
PACKS = ("AwsSolutions", "NIST.800.53.R5")
DOMAINS = "stacks.domain"
# The folder of the image is not copied with every stage.
CONTEXT = app.flags() | {"aws:cdk:disable-asset-staging": True}
NO_DOMAINS = "no package of that name"
PARENT = "Domain"  # the logical ids of what domains add begin with it


@dataclass(frozen=True)
class Resource:
    """One resource of a stage, whichever stack it is in."""

    stack: str  # network, data or service
    id: str
    body: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.body["Type"])

    @property
    def properties(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body.get("Properties", {})
        return found

    def get(self, path: str) -> Any:
        """The property at a dotted path; None where there is none."""
        found: Any = self.properties
        for name in path.split("."):
            if not isinstance(found, dict) or name not in found:
                return None
            found = found[name]
        return found


@dataclass(frozen=True)
class Templates:
    """The three templates of one stage, as the kit makes it: without the project's domains, unless
    it is `deployed`."""

    stage: Stage
    stacks: dict[str, dict[str, Any]]
    folder: Path

    def __iter__(self) -> Iterator[Resource]:
        for stack, template in self.stacks.items():
            for id, body in template["Resources"].items():
                yield Resource(stack, id, body)

    def all(self, type: str, prefix: str = "") -> list[Resource]:
        """The resources of a type, of which there is at least one."""
        found = [each for each in self._by_type.get(type, []) if each.id.startswith(prefix)]
        assert found, f"no {type} {prefix}"
        return found

    @functools.cached_property
    def _by_type(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for each in self:
            found.setdefault(each.type, []).append(each)
        return found

    def one(self, type: str, prefix: str = "") -> Resource:
        """The only resource of a type whose logical id starts with `prefix`."""
        (found,) = self.all(type, prefix)
        return found

    def outputs(self) -> dict[str, Any]:
        """Every output that people look up, by key; without CDK's own exports."""
        return {
            key: output
            for template in self.stacks.values()
            for key, output in template.get("Outputs", {}).items()
            if not key.startswith("Exports") and "Export" not in output
        }

    def paths(self) -> list[str]:
        """The template files."""
        return [str(path) for path in sorted(self.folder.glob("*.template.json"))]

    def acknowledged(self) -> list[tuple[str, str, str]]:
        """Rule, construct path and reason of each finding of cdk-nag that stands."""
        return [
            (rule.partition("::")[2], path.removeprefix("/"), reason)
            for file in sorted(self.folder.glob("*.metadata.json"))
            for path, entries in json.loads(file.read_text()).items()
            for entry in entries
            if entry["type"] == "aws:cdk:acknowledged-rules"
            for rule, reason in entry["data"].items()
            if rule.partition("::")[2].startswith(PACKS)  # CDK acknowledges some of its own
        ]

    def of_domains(self) -> list[Resource]:
        """What the project's domains have added."""
        return [each for each in self if each.id.startswith(PARENT)]

    def without_domains(self) -> "Templates":
        """The stage's own resources, as the domains have left them."""
        stacks = {
            kind: template
            | {"Resources": {
                id: body for id, body in template["Resources"].items() if not id.startswith(PARENT)
            }}
            for kind, template in self.stacks.items()
        }  # fmt: skip
        return Templates(self.stage, stacks, self.folder)

    def construct(self, resource: Resource) -> str:
        """Where the code has made it: `Domain/carts/Carts`."""
        for file in self.folder.glob("*.metadata.json"):
            for path, entries in json.loads(file.read_text()).items():
                if any(each.get("data") == resource.id for each in entries):
                    return "/".join(path.strip("/").split("/")[1:]).removesuffix("/Resource")
        return resource.id

    def copy(self) -> "Templates":
        return Templates(self.stage, copy.deepcopy(self.stacks), self.folder)


def stage_of(name: str, **settings: object) -> Stage:
    """A stage of these tests with some settings changed; its app is called as the project's."""
    common = {"app_name": read_stage(LOCAL_STAGE).app_name} | GIVEN.get(name, {})
    return read_stage(name, common | settings, file=FILE)


def synthesize(stage: str, **settings: object) -> Templates:
    """A stage's templates with some settings changed, checked as `cdk deploy` would."""
    return _synthesized(stage_of(stage, **settings), NO_DOMAINS)


def of_stage(stage: str) -> Templates:
    """A stage as it comes; synthesized once."""
    return of(stage_of(stage))


def every_stage() -> dict[str, Stage]:
    """The stages of these tests, unless a project runs them, and those of the project that are
    different."""
    own = {name: stage_of(name) for name in STAGES} if IS_KIT else {}
    return own | {
        f"{name} of the project": stage
        for name, stage in projects_stages().items()
        if stage != own.get(name)
    }


def projects_stages() -> dict[str, Stage]:
    """The stages of the project, as they can be deployed."""
    return {name: _deployable(read_stage(name)) for name in stage_names()}


@functools.cache
def deployed(stage: Stage, domains: str = DOMAINS) -> Templates:
    """A stage with what the project's domains add, or those of a package; synthesized once."""
    return _synthesized(stage, domains)


def _deployable(stage: Stage) -> Stage:
    """With a certificate where the stage still waits for one."""
    if stage.is_https or stage.allow_http:
        return stage
    return dataclasses.replace(stage, certificate_arn=CERTIFICATE, region="", account="")


@functools.cache
def of(stage: Stage) -> Templates:
    """A stage of `every_stage`; synthesized once."""
    return _synthesized(stage, NO_DOMAINS)


def _synthesized(stage: Stage, domains: str) -> Templates:
    check_stage(stage)
    folder = _assembly(stage, domains)
    names = stage.names
    stacks = {
        kind: json.loads((folder / f"{name}.template.json").read_text())
        for kind, name in {
            "network": names.network_stack,
            "data": names.data_stack,
            "service": names.service_stack,
        }.items()
    }
    return Templates(stage, stacks, folder)


def _assembly(stage: Stage, domains: str) -> Path:
    """The CDK's folder of a stage, made by the first process of the test run that asks for it."""
    root = shared_folder()
    of_what = f"{__file__} {stage!r} {domains}"  # a copy of the project has templates of its own
    folder = root / hashlib.sha256(of_what.encode()).hexdigest()[:16]
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            from stacks.build import synthesize as synthesize_stage

            new = tempfile.mkdtemp(dir=root)
            synthesize_stage(stage, CONTEXT, folder=new, domains=domains)
            os.rename(new, folder)
    return folder
