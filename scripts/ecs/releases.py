"""The releases of a stage: task definitions of API and workers with the same image.

Every deploy registers new revisions, which stay (stacks/service/task_definition.py). A deploy that
changes the settings of one process makes a revision of that process only, and so a new release. A
pool of workers is in those releases that were made since it is there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from scripts.aws import Aws
from scripts.ecs.services import Service, revision
from scripts.errors import NotFoundError, RefusedError
from scripts.processes import API, WORKER, container_of, deployed, task_definition_output

TAG_CHARACTERS = 12  # the tag of an image that the CDK built is a long hash
SHOWN = 10  # the newest revisions of each process
# One deploy registers both revisions within seconds.
TOGETHER = timedelta(seconds=60)
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceRevisions.html
REVISIONS_PER_CALL = 20
SUCCESSFUL = "SUCCESSFUL"
FAILED = {"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}


@dataclass(frozen=True)
class Revision:
    """One revision of a process's task definition."""

    process: str
    number: int
    arn: str
    image: str
    registered: datetime


@dataclass(frozen=True)
class Deployment:
    """A deployment of an ECS service; ECS remembers it for 90 days."""

    task_definition: str
    status: str
    reason: str
    finished: datetime | None


@dataclass(frozen=True)
class Release:
    """A revision of each process; `pools` are those of further worker pools. `state` is that of its
    newest deployment, or empty where ECS remembers none."""

    name: str
    api: Revision
    worker: Revision
    registered: datetime
    state: str = ""
    reason: str = ""
    is_running: bool = False
    is_template: bool = False
    pools: Mapping[str, Revision] = field(default_factory=dict)

    @property
    def image_tag(self) -> str:
        """The image's tag, or its whole name where it has none."""
        return self.api.image.rsplit("/", 1)[-1].partition(":")[2] or self.api.image

    @property
    def has_failed(self) -> bool:
        return self.state in FAILED

    @property
    def revisions(self) -> dict[str, Revision]:
        """The revision of each process: the API first, then the workers of each pool."""
        return {API: self.api, WORKER: self.worker, **self.pools}


def pair(revisions: Iterable[Revision]) -> list[Release]:
    """The releases, newest first. The revisions of one deploy make one release."""
    newest: dict[str, Revision] = {}
    found: list[Release] = []
    for each in sorted(revisions, key=lambda each: (each.registered, each.number)):
        newest[each.process] = each
        api, worker = newest.get(API), newest.get(WORKER)
        if not api or not worker or not each.image == api.image == worker.image:
            continue  # a deploy that has registered some of its revisions
        pools = {
            process: revision
            for process, revision in newest.items()
            if process not in (API, WORKER) and revision.image == api.image
        }
        numbers = (api.number, worker.number, *(pools[name].number for name in sorted(pools)))
        release = Release(_name(*numbers), api, worker, each.registered, pools=pools)
        before = found[-1] if found else None
        if (
            before
            and before.api.image == api.image
            and release.registered - before.registered < TOGETHER
        ):
            found.pop()
        found.append(release)
    return found[::-1]


def _name(*numbers: int) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else "/".join(map(str, numbers))


def describe(
    releases: Iterable[Release],
    running: Mapping[str, str],
    template: Mapping[str, str],
    deployments: Sequence[Deployment],
) -> list[Release]:
    """The releases with their state. The mappings hold ARNs; deployments are newest first."""
    return [
        replace(
            each,
            state=(deployment := _deployment(each, deployments)).status,
            reason=deployment.reason,
            is_running=_consists_of(each, running),
            is_template=_consists_of(each, template),
        )
        for each in releases
    ]


def _consists_of(release: Release, arns: Mapping[str, str]) -> bool:
    """A pool that the release does not have does not count."""
    revisions = release.revisions
    return all(
        revisions[process].arn == arn for process, arn in arns.items() if process in revisions
    )


def _deployment(release: Release, deployments: Sequence[Deployment]) -> Deployment:
    """The newest deployment of any of its processes; one that did not succeed wins."""
    newest = [
        next((each for each in deployments if each.task_definition == revision.arn), None)
        for revision in reversed(release.revisions.values())
    ]
    known = [each for each in newest if each]
    return next(
        (each for each in known if each.status != SUCCESSFUL),
        known[-1] if known else Deployment("", "", "", None),
    )


def choose(releases: Sequence[Release], running: Mapping[str, str], wanted: str | None) -> Release:
    """The release of that name, or else the one before the running release.

    After an interrupted rollback the processes run different releases; then it is the release
    that the rollback was going to. Raises `NotFoundError` for a wrong name and `RefusedError` where
    there is nothing to go back to.
    """
    if wanted is not None:
        for each in releases:
            if each.name == wanted:
                return each
        names = ", ".join(each.name for each in releases)
        raise NotFoundError(
            f"there is no release {wanted} among the last ones",
            f"There are: {names}. `moor deployments` lists them.",
        )
    numbers = {process: revision(arn) for process, arn in running.items()}
    for each in releases:
        is_earlier = all(
            revision.number <= numbers[process] for process, revision in each.revisions.items()
        )
        if is_earlier and not _consists_of(each, running) and not each.has_failed:
            return each
    raise RefusedError(
        "there is no earlier release to go back to",
        "`moor deployments` lists the releases; one whose deployment failed must be named.",
    )


def find_releases(
    aws: Aws, services: Mapping[str, Service], template: Mapping[str, str]
) -> list[Release]:
    """The releases of the stage, newest first."""
    lists = aws.together(*(_list_call(each) for each in services.values()))
    arns = [
        (process, arn)
        for process, answer in zip(services, lists, strict=True)
        for arn in answer["taskDefinitionArns"]
        if _family(arn) == _family(services[process].task_definition)
    ]
    answers = aws.together(
        *(("ecs", "describe_task_definition", {"taskDefinition": arn}) for _, arn in arns)
    )
    revisions = [
        read_revision(process, answer) for (process, _), answer in zip(arns, answers, strict=True)
    ]
    deployments = [
        deployment for service in services.values() for deployment in find_deployments(aws, service)
    ]
    running = {process: each.task_definition for process, each in services.items()}
    return describe(pair(revisions), running, template, deployments)


def _family(arn: str) -> str:
    return arn.rpartition(":")[0]


def _list_call(service: Service) -> tuple[str, str, dict[str, Any]]:
    family = _family(service.task_definition).rsplit("/", 1)[-1]
    given = {"familyPrefix": family, "status": "ACTIVE", "sort": "DESC", "maxResults": SHOWN}
    return "ecs", "list_task_definitions", given


def read_revision(process: str, answer: Mapping[str, Any]) -> Revision:
    """From an answer of `describe_task_definition`."""
    given = answer["taskDefinition"]
    name = container_of(process)
    image = next(each["image"] for each in given["containerDefinitions"] if each["name"] == name)
    return Revision(
        process, given["revision"], given["taskDefinitionArn"], image, given["registeredAt"]
    )


def find_deployments(aws: Aws, service: Service) -> list[Deployment]:
    """The deployments of the ECS service, newest first."""
    listed = aws.call(
        "ecs",
        "list_service_deployments",
        cluster=aws.names.cluster,
        service=service.name,
        maxResults=REVISIONS_PER_CALL,
    )["serviceDeployments"]
    if not listed:
        return []
    arns = list(dict.fromkeys(each["targetServiceRevisionArn"] for each in listed))
    answer = aws.call("ecs", "describe_service_revisions", serviceRevisionArns=arns)
    return read_deployments(listed, answer["serviceRevisions"])


def read_deployments(
    listed: Iterable[Mapping[str, Any]], revisions: Iterable[Mapping[str, Any]]
) -> list[Deployment]:
    """From the items of `list_service_deployments` and `describe_service_revisions`."""
    definitions = {each["serviceRevisionArn"]: each["taskDefinition"] for each in revisions}
    return [
        Deployment(
            definitions[each["targetServiceRevisionArn"]],
            each["status"],
            each.get("statusReason", ""),
            each.get("finishedAt"),
        )
        for each in listed
        if each["targetServiceRevisionArn"] in definitions
    ]


def template_of(aws: Aws) -> dict[str, str]:
    """The ARNs of the task definitions in the stack's template."""
    return {process: aws.output(task_definition_output(process)) for process in deployed(aws)}
