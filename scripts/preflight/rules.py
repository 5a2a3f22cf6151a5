"""The rules of `moor preflight`: each finds one cause that would stop a deploy."""

from collections.abc import Iterator
from typing import TypeVar

from scripts.doctor.model import NotCheckedError
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


def known(account: Account, part: str, value: Found | None) -> Found:
    """`value` of that part. Raises `NotCheckedError` where it could not be read."""
    if value is None:
        raise NotCheckedError(account.unread.get(part, "it was not read"))
    return value


@rule("other-account", Severity.ERROR, "Choose another with AWS_PROFILE, or mend `account`.", PAGE)
def other_account(account: Account) -> Iterator[str]:
    if account.stage.account not in ("", account.id):
        yield f"stages.toml says account {account.stage.account}, you are in {account.id}"


@rule(
    "not-bootstrapped", Severity.ERROR,
    "Run `npx cdk bootstrap` once in this account and region.", PAGE,
)  # fmt: skip
def not_bootstrapped(account: Account) -> Iterator[str]:
    version = known(account, "bootstrap", account.bootstrap_version)
    if version < BOOTSTRAP_VERSION:
        where = f"{account.id}/{account.region}"
        yield (
            f"the bootstrap stack of {where} has version {version}, {BOOTSTRAP_VERSION} is needed"
            if version
            else f"{where} was never bootstrapped, so there is no place for images and templates"
        )


@rule(
    "service-role-missing", Severity.WARNING,
    "Create it once in the account: `aws iam create-service-linked-role --aws-service-name NAME`.",
    PAGE,
)  # fmt: skip
def service_role_missing(account: Account) -> Iterator[str]:
    there = known(account, "service roles", account.service_roles)
    for role, service in SERVICE_ROLES.items():
        if role not in there:
            yield (
                f"there is no {role} ({service}): AWS creates it at the first use, and a resource "
                "that needs it at that moment may fail"
            )


@rule(
    "zones-missing", Severity.ERROR,
    "Lower availability_zones, name other zone_names, or choose another region.", PAGE,
)  # fmt: skip
def zones_missing(account: Account) -> Iterator[str]:
    stage, there = account.stage, known(account, "zones", account.zones)
    if not stage.vpc_id and len(there) < stage.availability_zones:
        yield (
            f"availability_zones = {stage.availability_zones}, but {account.region} has "
            f"{len(there)}: {', '.join(there)}"
        )
    for zone in stage.zone_names:
        if zone not in there:
            yield f"zone_names: {account.region} has no {zone}, only {', '.join(there)}"


def vcpu(stage: Stage, end: str) -> float:
    """The Fargate vCPU during a deploy, at the `min` or the `max` counts of ECS tasks."""
    units = 0
    for each in stage.processes:
        count = each.min_count if end == "min" else each.max_count
        units += each.cpu * max(count, each.desired_count or 0)
    return units * MAXIMUM_PERCENT / 100 / 1024


@rule(
    "quota-too-small", Severity.ERROR,
    "Request more in Service Quotas (takes hours to days), or choose less in stages.toml.", PAGE,
)  # fmt: skip
def quota_too_small(account: Account) -> Iterator[str]:
    stage, quotas = account.stage, known(account, "quotas", account.quotas)
    if (needed := vcpu(stage, "min")) > quotas.get(VCPU, needed):
        yield f"{VCPU}: a deploy needs {needed:g} at least, the quota is {quotas[VCPU]:g}"
    is_new = stage.names.network_stack not in known(account, "stacks", account.stacks)
    if stage.vpc_id or not is_new:
        return
    used = known(account, "addresses", account.addresses)
    needed = stage.availability_zones if stage.egress == "nat" else 0
    if used + needed > quotas.get(ADDRESSES, used + needed):
        yield (
            f"{ADDRESSES}: egress = {stage.egress!r} needs {needed}, {used} are in use, and the "
            f"quota of the region is {quotas[ADDRESSES]:g}"
        )
    used = known(account, "VPCs", account.vpcs)
    if used + 1 > quotas.get(VPCS, used + 1):
        yield f"{VPCS}: {used} exist, and the quota of the region is {quotas[VPCS]:g}"


@rule(
    "quota-at-maximum", Severity.WARNING,
    "Request more in Service Quotas before the load comes, or lower the maximum counts.", PAGE,
)  # fmt: skip
def quota_at_maximum(account: Account) -> Iterator[str]:
    needed = vcpu(account.stage, "max")
    quotas = known(account, "quotas", account.quotas)
    if needed > quotas.get(VCPU, needed):
        yield (
            f"{VCPU}: at its maximum counts a deploy of the stage needs {needed:g}, the quota is "
            f"{quotas[VCPU]:g}"
        )


@rule(
    "left-behind", Severity.ERROR,
    "`moor leftovers` lists everything; `moor leftovers --delete` deletes log groups.",
    PAGE,
)  # fmt: skip
def left_behind(account: Account) -> Iterator[str]:
    taken = known(account, "names", account.taken_names) - account.live_names
    for name, type in physical_names(account.template).items():
        if name in taken:
            yield f"{name} ({type}) exists already, outside of the stage's stacks"


@rule("stack-stuck", Severity.ERROR, "`aws cloudformation describe-stack-events` says why.", PAGE)
def stack_stuck(account: Account) -> Iterator[str]:
    for name, status in known(account, "stacks", account.stacks).items():
        if status in STUCK:
            yield f"{name} is in {status}: {STUCK[status]}"
        elif status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            yield f"{name} is in {status}: a deploy is running; wait for it"


@rule(
    "change-refused", Severity.ERROR,
    "Do not change the key, or do what docs/changing.md says.", PAGE,
)  # fmt: skip
def change_refused(account: Account) -> Iterator[str]:
    certain = [each for each in account.changes or () if each.kind is not Kind.MAY_BE_REPLACED]
    refused = [each for each in certain if each.is_refused]
    for row in kept(certain) if refused else ():
        yield f"{', '.join(row.keys)}: {row.reason} {row.way}"
    for change in refused:
        yield str(change)


@rule("change-unsure", Severity.WARNING, "Deploy at a time when a rollback does no harm.", PAGE)
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
    "Use an issued certificate in the region of the stage.", PAGE,
)  # fmt: skip
def certificate_unusable(account: Account) -> Iterator[str]:
    arn = account.stage.certificate_arn
    if not arn:
        return
    if (region := arn.split(":")[3]) != account.region:
        yield f"certificate_arn is in {region}, the stage is in {account.region}"
        return
    found = known(account, "certificate", account.certificate)
    if found.status != "ISSUED":
        yield f"certificate_arn: {f'its status is {found.status}' if found.status else 'not found'}"


@rule(
    "zone-unusable", Severity.ERROR,
    "Set hosted_zone_id and hosted_zone_name to those of a public zone in this account.", PAGE,
)  # fmt: skip
def zone_unusable(account: Account) -> Iterator[str]:
    stage = account.stage
    if not stage.hosted_zone_id:
        return
    name = known(account, "hosted zone", account.zone_name)
    if name.rstrip(".") != stage.hosted_zone_name:
        said = f"is {name.rstrip('.')}" if name else "does not exist"
        yield f"hosted_zone_id = {stage.hosted_zone_id!r} {said}, not {stage.hosted_zone_name}"


@rule(
    "sender-unverified", Severity.ERROR,
    "Begin the verification with `aws sesv2 create-email-identity`.", PAGE,
)  # fmt: skip
def sender_unverified(account: Account) -> Iterator[str]:
    sender = account.stage.email_from
    if sender and not known(account, "sender", account.sender_is_verified):
        yield f"email_from = {sender!r}: SES has verified neither the address nor its domain"


@rule(
    "mail-sandboxed", Severity.WARNING,
    "Request production access in the console of SES.", PAGE,
)  # fmt: skip
def mail_sandboxed(account: Account) -> Iterator[str]:
    if account.stage.email_from and not known(account, "sender", account.may_mail_anybody):
        yield "SES is in its sandbox: only verified addresses get mail"


@rule(
    "secret-without-value", Severity.ERROR,
    "`moor secrets set NAME` asks for one; `moor secrets diff` compares all with stages.toml.",
    "docs/stages.md#secrets",
)  # fmt: skip
def secret_without_value(account: Account) -> Iterator[str]:
    if account.stage.secrets:
        for secret in known(account, "secrets", account.no_value):
            yield f"{secret} has no value, so no ECS task that is given it would start"


@rule(
    "vpc-differs", Severity.ERROR,
    "Name one subnet of each kind for each zone of zone_names, in the order of the zones.", PAGE,
)  # fmt: skip
def vpc_differs(account: Account) -> Iterator[str]:
    stage = account.stage
    if not stage.vpc_id:
        return
    there = known(account, "subnets", account.subnets)
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
    "docs/first-deploy.md has the ways: another platform, an emulator, or an existing image.",
    PAGE,
)  # fmt: skip
def image_not_buildable(account: Account) -> Iterator[str]:
    if problem := known(account, "image", account.image_problem):
        yield problem


RULES: tuple[Rule[Account], ...] = (
    other_account, not_bootstrapped, stack_stuck, change_refused, left_behind, zones_missing,
    quota_too_small, certificate_unusable, zone_unusable, sender_unverified,
    secret_without_value, vpc_differs, image_not_buildable, service_role_missing, quota_at_maximum,
    mail_sandboxed, change_unsure, change_replaces,
)  # fmt: skip
