"""A project's stages.toml from a workspace of Copilot, and what became of each of its fields."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from scripts.adopt.rules import (
    OF_APP_RUNNER,
    OF_ENVIRONMENTS,
    OF_JOBS,
    OF_PIPELINES,
    OF_SERVICES,
    OF_STATIC_SITES,
    Kind,
    Rule,
    judge,
)
from scripts.adopt.stages import Stage, app_name, is_of_process, pool_name, stage_name, write_stages
from scripts.adopt.values import API, WORKER, Keys, Place, Untranslatable, filled
from scripts.adopt.workspace import ENVIRONMENTS, Field, Manifest, Workspace

POOLS = "workers"  # within this table, one for each worker pool but the default one
WEB, APP_RUNNER = "Load Balanced Web Service", "Request-Driven Web Service"
BACKEND, WORKERS = "Backend Service", "Worker Service"
JOB, SITE = "Scheduled Job", "Static Site"
RULES: dict[str, tuple[Rule, ...]] = {
    WEB: OF_SERVICES,
    APP_RUNNER: OF_APP_RUNNER,
    BACKEND: OF_SERVICES,
    WORKERS: OF_SERVICES,
    JOB: OF_JOBS,
    SITE: OF_STATIC_SITES,
}
# Where nothing names an environment: those that Copilot's own first steps make.
NO_STAGES = ("test", "prod")
OVERRIDDEN = "each stage has its own value"
NOWHERE = Place("", (), "", "")
RANK = (Kind.NONE, Kind.OTHERWISE, Kind.TRANSLATED)  # of several stages the worst counts


@dataclass(frozen=True)
class Finding:
    """What becomes of one field."""

    field: Field
    kind: Kind
    here: str


@dataclass(frozen=True)
class Adoption:
    text: str
    findings: list[Finding]
    left: list[str]  # files that are no manifests, and what else is to be done by hand

    def count(self, kind: Kind) -> int:
        return sum(each.kind is kind for each in self.findings)


def adopt(workspace: Workspace) -> Adoption:
    """Every field has one finding; every translated one stands in the text."""
    names = workspace.stages or list(NO_STAGES)
    app = app_name(workspace.app)
    places = _assign(workspace.services)
    stages: dict[str, Stage] = {}
    for name in names:
        stages[name] = Stage(stage_name(name, {each.name for each in stages.values()}), name)
    findings: list[Finding] = []
    # A job runs in the workers, whose own values come first.
    for manifest in sorted(workspace.services, key=lambda each: each.type == JOB):
        findings += _service(manifest, places[manifest.file], app, stages)
    for manifest in workspace.environments:
        findings += _environment(manifest, app, stages[manifest.name])
    for manifest in workspace.pipelines:
        verdicts = (judge(OF_PIPELINES, each.name, each.value, NOWHERE) for each in manifest.fields)
        findings += [
            Finding(field, found.kind, found.here)
            for field, found in zip(manifest.fields, verdicts, strict=True)
        ]
    findings.sort(key=lambda each: (each.field.file, each.field.line, each.field.path))
    text, by_hand = write_stages(app, list(stages.values()))
    left = [
        f"{file}: resources of your own go into `stacks/domain/<name>.py`"
        for file in workspace.others
    ]
    return Adoption(text, findings, left + by_hand)


@dataclass(frozen=True)
class Assigned:
    """What a service becomes; `why` where it becomes nothing."""

    process: str = ""
    why: str = ""


def _assign(services: list[Manifest]) -> dict[str, Assigned]:
    """One service with a door becomes the API, one without the workers; others are pools."""
    web = [each for each in services if each.type in (WEB, APP_RUNNER)]
    silent = [
        each
        for each in services
        if each.type == WORKERS or (each.type == BACKEND and not _answers(each))
    ]
    found = {
        each.file: Assigned(
            why=""
            if each.type in (JOB, SITE)
            else f"the API is {web[0].name if web else 'public'}: a second service with a door "
            "becomes routes of it, or a project of its own"
        )
        for each in services
    }
    for each in services:
        if each.type not in RULES:
            found[each.file] = Assigned(why=f"{each.type or 'no type'!r} is none of {[*RULES]}")
    for process, them in ((API, web), (WORKER, silent)):
        first = sorted(them, key=lambda each: (each.name not in ("api", "web", WORKER), each.name))
        pools: list[str] = []
        for each in first[:1]:
            found[each.file] = Assigned(process)
        for each in first[1:] if process == WORKER else ():
            pools.append(pool_name(each.name, pools))
            found[each.file] = Assigned(f"{POOLS}.{pools[-1]}")
    return found


def _answers(manifest: Manifest) -> bool:
    """Does a backend service listen? Otherwise it is a worker of some kind."""
    return any(each.path[0] in ("http", "nlb") or each.name == "image.port"
               for each in manifest.of(""))  # fmt: skip


def _service(
    manifest: Manifest, assigned: Assigned, app: str, stages: dict[str, Stage]
) -> Iterator[Finding]:
    """The keys into the stages; one finding for each field."""
    if assigned.why:
        yield from (
            Finding(each, Kind.OTHERWISE if each.name in ("name", "type") else Kind.NONE,
                    assigned.why)
            for each in manifest.fields
        )  # fmt: skip
        return
    rules, found = RULES[manifest.type], dict[tuple[int, str], Finding]()
    # A job runs in the workers, and what it is told reaches them all.
    process = WORKER if manifest.type == JOB else assigned.process
    for name, stage in stages.items():
        stage.begin(process)
        for field in manifest.of(name):
            place = Place(process, field.path, app, name)
            kind, here, keys = _judged(rules, field, place)
            if manifest.type == JOB and any(not is_of_process(key) for key in keys):
                kind, here, keys = Kind.OTHERWISE, "a job runs in the workers, as they are", {}
            if problem := stage.refuses(keys) or stage.add(keys, manifest.file):
                kind, here = Kind.NONE, problem
            _keep(found, Finding(field, kind, here))
    for field in manifest.fields:
        own = field.path[2:] if field.path[0] == ENVIRONMENTS else field.path
        # Where no stage has it, each has a value of its own, or the field says nothing.
        one = found.get((field.line, ".".join(own)), Finding(field, Kind.OTHERWISE, OVERRIDDEN))
        yield replace(one, field=field)


def _keep(found: dict[tuple[int, str], Finding], new: Finding) -> None:
    key = new.field.line, new.field.name
    before = found.get(key)
    if before is None or RANK.index(new.kind) < RANK.index(before.kind):
        found[key] = new


def _judged(rules: tuple[Rule, ...], field: Field, place: Place) -> tuple[Kind, str, Keys]:
    try:
        value = filled(field.value, place)
    except Untranslatable as error:
        return Kind.NONE, str(error), {}
    verdict = judge(rules, field.name, value, place)
    return verdict.kind, verdict.here, verdict.keys


def _environment(manifest: Manifest, app: str, stage: Stage) -> Iterator[Finding]:
    for field in manifest.fields:
        kind, here, keys = _judged(
            OF_ENVIRONMENTS, field, Place("", field.path, app, manifest.name)
        )
        if problem := stage.refuses(keys) or stage.add(keys, manifest.file):
            kind, here = Kind.NONE, problem
        yield Finding(field, kind, here)
