"""What would stop a deploy, or have somebody wait for nothing: each rule is one of the causes."""

from collections.abc import Iterator
from typing import TypeVar

from scripts.doctor.model import UnjudgedError
from scripts.doctor.rule import Rule, Severity, rule
from scripts.preflight.account import Account, physical_names
from scripts.preflight.changes import Kind
from scripts.preflight.kept import kept
from stacks.config.stage import MAXIMUM_PERCENT, Stage

Found = TypeVar("Found")
PAGE = "docs/first-deploy.md"
BOOTSTRAP_VERSION = 6  # https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html
# https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
SERVICE_ROLES = {
    "AWSServiceRoleForECS": "ecs.amazonaws.com",
    "AWSServiceRoleForRDS": "rds.amazonaws.com",
    "AWSServiceRoleForElasticLoadBalancing": "elasticloadbalancing.amazonaws.com",
    "AWSServiceRoleForApplicationAutoScaling_ECSService": (
        "ecs.application-autoscaling.amazonaws.com"
    ),
}
VCPU, ADDRESSES, VPCS = "Fargate vCPU", "elastic addresses", "VPCs"
STUCK = {
    "ROLLBACK_COMPLETE": "its first deploy failed; delete it, and deploy again",
    "ROLLBACK_FAILED": "its first deploy failed, and so did its removal; delete it",
    "DELETE_FAILED": "its removal failed; its events say why, then delete it again",
    "UPDATE_ROLLBACK_FAILED": "`aws cloudformation continue-update-rollback` brings it back",
}


def seen(account: Account, part: str, value: Found | None) -> Found:
    """`value` of that part. Raises `UnjudgedError` where it could not be seen."""
    if value is None:
        raise UnjudgedError(account.unseen.get(part, "not asked for"))
    return value


@rule("other-account", Severity.ERROR, "AWS_PROFILE chooses another; or mend `account`.", PAGE)
def other_account(account: Account) -> Iterator[str]:
    if account.stage.account not in ("", account.id):
        yield f"stages.toml says account {account.stage.account}, you are in {account.id}"


@rule(
    "not-bootstrapped", Severity.ERROR,
    "`npx cdk bootstrap` in this account and region, once.", PAGE,
)  # fmt: skip
def not_bootstrapped(account: Account) -> Iterator[str]:
    version = seen(account, "bootstrap", account.bootstrap_version)
    if version < BOOTSTRAP_VERSION:
        said = f"its version is {version}, {BOOTSTRAP_VERSION} is needed" if version else "never"
        yield f"{account.id}/{account.region} has no place for images and templates yet: {said}"


@rule(
    "service-role-missing", Severity.WARNING,
    "Make it once for the account: `aws iam create-service-linked-role --aws-service-name NAME`.",
    PAGE,
)  # fmt: skip
def service_role_missing(account: Account) -> Iterator[str]:
    there = seen(account, "service roles", account.service_roles)
    for role, service in SERVICE_ROLES.items():
        if role not in there:
            yield (
                f"there is no {role} ({service}): AWS makes it at the first use, and what is made "
                "beside it may fail meanwhile"
            )


@rule(
    "zones-missing", Severity.ERROR,
    "Lower availability_zones, name other zone_names, or choose another region.", PAGE,
)  # fmt: skip
def zones_missing(account: Account) -> Iterator[str]:
    stage, there = account.stage, seen(account, "zones", account.zones)
    if not stage.vpc_id and len(there) < stage.availability_zones:
        yield (
            f"availability_zones = {stage.availability_zones}, and {account.region} offers "
            f"{len(there)}: {', '.join(there)}"
        )
    for zone in stage.zone_names:
        if zone not in there:
            yield f"zone_names: {account.region} offers no {zone}, only {', '.join(there)}"


def vcpu(stage: Stage, end: str) -> float:
    """Of Fargate, in the middle of a deploy, with the `min` or the `max` count of ECS tasks."""
    units = 0
    for process in ("api", "worker"):
        count, desired = (getattr(stage, f"{process}_{of}_count") for of in (end, "desired"))
        units += getattr(stage, f"{process}_cpu") * max(count, desired or 0)
    return units * MAXIMUM_PERCENT / 100 / 1024


@rule(
    "quota-too-small", Severity.ERROR,
    "Ask for more in Service Quotas (hours to days), or choose less in stages.toml.", PAGE,
)  # fmt: skip
def quota_too_small(account: Account) -> Iterator[str]:
    stage, quotas = account.stage, seen(account, "quotas", account.quotas)
    if (needed := vcpu(stage, "min")) > quotas.get(VCPU, needed):
        yield f"{VCPU}: a deploy runs {needed:g} at the least, the account may {quotas[VCPU]:g}"
    is_new = stage.names.network_stack not in seen(account, "stacks", account.stacks)
    if stage.vpc_id or not is_new:
        return
    used = seen(account, "addresses", account.addresses)
    needed = stage.availability_zones if stage.egress == "nat" else 0
    if used + needed > quotas.get(ADDRESSES, used + needed):
        yield (
            f"{ADDRESSES}: egress = {stage.egress!r} needs {needed}, {used} are in use, and the "
            f"region may have {quotas[ADDRESSES]:g}"
        )
    used = seen(account, "VPCs", account.vpcs)
    if used + 1 > quotas.get(VPCS, used + 1):
        yield f"{VPCS}: {used} are there, and the region may have {quotas[VPCS]:g}"


@rule(
    "quota-at-maximum", Severity.WARNING,
    "Ask for more in Service Quotas before the load comes, or lower the maximum counts.", PAGE,
)  # fmt: skip
def quota_at_maximum(account: Account) -> Iterator[str]:
    needed = vcpu(account.stage, "max")
    quotas = seen(account, "quotas", account.quotas)
    if needed > quotas.get(VCPU, needed):
        yield (
            f"{VCPU}: at its maximum counts a deploy of the stage wants {needed:g}, the account "
            f"may have {quotas[VCPU]:g} at once"
        )


@rule(
    "left-behind", Severity.ERROR,
    "`moor leftovers` shows what is there, and `moor leftovers --delete` removes it after asking.",
    PAGE,
)  # fmt: skip
def left_behind(account: Account) -> Iterator[str]:
    taken = seen(account, "names", account.taken_names) - account.live_names
    for name, type in physical_names(account.template).items():
        if name in taken:
            yield f"{name} ({type}) is there, and no stack of the stage has it: AWS takes no second"


@rule("stack-stuck", Severity.ERROR, "`aws cloudformation describe-stack-events` says why.", PAGE)
def stack_stuck(account: Account) -> Iterator[str]:
    for name, status in seen(account, "stacks", account.stacks).items():
        if status in STUCK:
            yield f"{name} is in {status}: {STUCK[status]}"
        elif status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            yield f"{name} is in {status}: somebody deploys it now; wait for that"


@rule(
    "change-refused", Severity.ERROR,
    "Leave the key as it is, or take the way that stands in docs/changing.md.", PAGE,
)  # fmt: skip
def change_refused(account: Account) -> Iterator[str]:
    certain = [each for each in account.changes or () if each.kind is not Kind.MAY_BE_REPLACED]
    refused = [each for each in certain if each.is_refused]
    for row in kept(certain) if refused else ():
        yield f"{', '.join(row.keys)}: {row.reason} {row.way}"
    for change in refused:
        yield str(change)


@rule("change-unsure", Severity.WARNING, "Deploy it when nobody minds if it is taken back.", PAGE)
def change_unsure(account: Account) -> Iterator[str]:
    unsure = [each for each in account.changes or () if each.kind is Kind.MAY_BE_REPLACED]
    for row in kept(unsure):
        yield f"{', '.join(row.keys)}: {row.reason} {row.way}"


@rule("change-replaces", Severity.NOTICE, "Nothing, if that is what you want.", PAGE)
def change_replaces(account: Account) -> Iterator[str]:
    for change in account.changes or ():
        if not change.is_refused and change.kind is Kind.REPLACED:
            yield str(change)


@rule(
    "certificate-unusable", Severity.ERROR,
    "A certificate has to be issued, and in the region of the stage.", PAGE,
)  # fmt: skip
def certificate_unusable(account: Account) -> Iterator[str]:
    arn = account.stage.certificate_arn
    if not arn:
        return
    if (region := arn.split(":")[3]) != account.region:
        yield f"certificate_arn is one of {region}, the stage is in {account.region}"
        return
    found = seen(account, "certificate", account.certificate)
    if found.status != "ISSUED":
        yield f"certificate_arn: its status is {found.status or 'unknown: it is not there'}"


@rule(
    "zone-unusable", Severity.ERROR,
    "hosted_zone_id and hosted_zone_name are those of a public zone in this account.", PAGE,
)  # fmt: skip
def zone_unusable(account: Account) -> Iterator[str]:
    stage = account.stage
    if not stage.hosted_zone_id:
        return
    name = seen(account, "hosted zone", account.zone_name)
    if name.rstrip(".") != stage.hosted_zone_name:
        said = f"is {name.rstrip('.')}" if name else "is not there"
        yield f"hosted_zone_id = {stage.hosted_zone_id!r} {said}, not {stage.hosted_zone_name}"


@rule(
    "sender-unverified", Severity.ERROR,
    "`aws sesv2 create-email-identity` begins the verification.", PAGE,
)  # fmt: skip
def sender_unverified(account: Account) -> Iterator[str]:
    sender = account.stage.email_from
    if sender and not seen(account, "sender", account.sender_is_verified):
        yield f"email_from = {sender!r}: SES has verified neither the address nor its domain"


@rule(
    "mail-sandboxed", Severity.WARNING,
    "Ask AWS for production access in the console of SES.", PAGE,
)  # fmt: skip
def mail_sandboxed(account: Account) -> Iterator[str]:
    if account.stage.email_from and not seen(account, "sender", account.may_mail_anybody):
        yield "SES is in its sandbox: only verified addresses get mail"


@rule(
    "vpc-differs", Severity.ERROR,
    "Name one subnet of each kind for each zone of zone_names, in its order.", PAGE,
)  # fmt: skip
def vpc_differs(account: Account) -> Iterator[str]:
    stage = account.stage
    if not stage.vpc_id:
        return
    there = seen(account, "subnets", account.subnets)
    for key in ("public_subnet_ids", "private_subnet_ids", "isolated_subnet_ids"):
        for id, zone in zip(getattr(stage, key), stage.zone_names, strict=False):
            found = there.get(id)
            if found is None:
                yield f"{key}: there is no {id} in {account.region}"
            elif found.vpc != stage.vpc_id:
                yield f"{key}: {id} is in {found.vpc}, not in {stage.vpc_id}"
            elif found.zone != zone:
                yield f"{key}: {id} is in {found.zone}, and zone_names has {zone} in its place"


@rule(
    "image-not-buildable", Severity.ERROR,
    "docs/first-deploy.md has the ways: another platform, emulation, or an image that is there.",
    PAGE,
)  # fmt: skip
def image_not_buildable(account: Account) -> Iterator[str]:
    if problem := seen(account, "image", account.image_problem):
        yield problem


RULES: tuple[Rule[Account], ...] = (
    other_account, not_bootstrapped, stack_stuck, change_refused, left_behind, zones_missing,
    quota_too_small, certificate_unusable, zone_unusable, sender_unverified, vpc_differs,
    image_not_buildable, service_role_missing, quota_at_maximum, mail_sandboxed, change_unsure,
    change_replaces,
)  # fmt: skip
