"""The parts of an account and region that matter to a deploy, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.preflight.changes import Change
from scripts.templates.template import Template
from stacks.config.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """A subnet of an imported VPC."""

    vpc: str
    zone: str


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate of ACM."""

    status: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Account:
    """A stage's templates, and where they are to be deployed.

    A part is None where it could not be read: `unread` says why. A mapping lacks the names that do
    not exist.
    """

    stage: Stage
    template: Template
    id: str
    region: str
    bootstrap_version: int | None = None  # 0: not bootstrapped
    service_roles: frozenset[str] | None = None  # AWSServiceRoleForECS, …
    zones: tuple[str, ...] | None = None  # available ones of the region
    quotas: Mapping[str, float] | None = None  # by `Quota`
    addresses: int | None = None  # elastic addresses in use
    vpcs: int | None = None
    stacks: Mapping[str, str] | None = None  # name to status, of the stage's stacks that exist
    live_names: frozenset[str] = frozenset()  # physical names in the live stacks
    taken_names: frozenset[str] | None = None  # physical names of the template that exist
    changes: tuple[Change, ...] | None = None  # None: nothing is deployed
    certificate: Certificate | None = None
    zone_name: str | None = None  # of the hosted zone with that id; "" if there is none
    sender_is_verified: bool | None = None
    may_mail_anybody: bool | None = None  # SES is out of its sandbox
    subnets: Mapping[str, Subnet] | None = None  # those of stages.toml that exist
    no_value: tuple[str, ...] | None = None  # the project's own secrets that have none
    image_problem: str | None = None  # "" if the image can be built here
    unread: Mapping[str, str] = field(default_factory=dict)


def physical_names(template: Template) -> dict[str, str]:
    """The names that are unique in an account and stay behind, with the resource's type."""
    return {
        str(resource.properties[key]): type
        for type, key in KEPT_NAMES.items()
        for resource in template.all(type)
        if key in resource.properties
    }


# The types that a protected stage leaves behind under a fixed name, and the property with the name.
KEPT_NAMES = {
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBCluster": "DBClusterIdentifier",
}
Answer = dict[str, Any]
