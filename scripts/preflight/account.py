"""What of an account and a region matters to a first deploy, as plain values."""

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

    A part that is None could not be seen: `unseen` says why. A name that is looked for and not
    there is missing from its mapping.
    """

    stage: Stage
    template: Template
    id: str
    region: str
    bootstrap_version: int | None = None  # 0: not bootstrapped
    service_roles: frozenset[str] | None = None  # AWSServiceRoleForECS, …
    zones: tuple[str, ...] | None = None  # available ones of the region
    quotas: Mapping[str, float] | None = None  # by `Quota`
    addresses: int | None = None  # elastic ones in use
    vpcs: int | None = None
    stacks: Mapping[str, str] | None = None  # name to status, of the stage's that are there
    live_names: frozenset[str] = frozenset()  # physical names that the live stacks hold
    taken_names: frozenset[str] | None = None  # physical names of the template that exist
    changes: tuple[Change, ...] | None = None  # None: nothing is deployed
    certificate: Certificate | None = None
    zone_name: str | None = None  # of the hosted zone with that id; "" without one
    sender_is_verified: bool | None = None
    may_mail_anybody: bool | None = None  # SES outside its sandbox
    subnets: Mapping[str, Subnet] | None = None  # those of stages.toml that are there
    image_problem: str | None = None  # "" where the image can be built here
    unseen: Mapping[str, str] = field(default_factory=dict)


def physical_names(template: Template) -> dict[str, str]:
    """The names that exist once in an account and stay behind, each with its resource's type."""
    return {
        str(resource.properties[key]): type
        for type, key in KEPT_NAMES.items()
        for resource in template.all(type)
        if key in resource.properties
    }


# Of what a protected stage leaves behind, what has a name of its own.
KEPT_NAMES = {
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBCluster": "DBClusterIdentifier",
}
Answer = dict[str, Any]
