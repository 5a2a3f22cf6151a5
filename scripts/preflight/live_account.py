"""Reads the account and region of a deploy from AWS."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from scripts.aws import Aws
from scripts.errors import NotFoundError, OperatorError
from scripts.preflight.account import Account, Certificate, Subnet, physical_names
from scripts.preflight.changes import Change, changes
from scripts.preflight.image_platform import why_not_buildable
from scripts.preflight.rules import ADDRESSES, SERVICE_ROLES, VCPU, VPCS
from scripts.secrets.kept import without_value
from scripts.templates.template import read_stacks, read_template

Found = TypeVar("Found")
BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
# https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
QUOTAS = {
    VCPU: ("fargate", "L-3032A538"),
    ADDRESSES: ("ec2", "L-0263D0A3"),
    VPCS: ("vpc", "L-F678F1CE"),
}
GONE = "DELETE_COMPLETE"
# States of a stack without any resource.
EMPTY = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE")


@dataclass
class AccountReader:
    """Reads one part after the other, and keeps the reason why a part could not be read."""

    aws: Aws
    unread: dict[str, str] = field(default_factory=dict)

    def part(self, part: str, read: Callable[[], Found]) -> Found | None:
        """The part, or None where AWS refuses the call or does not know the part."""
        try:
            return read()
        except OperatorError as error:
            self.unread[part] = str(error)
            return None

    def stack_status(self, name: str) -> str | None:
        try:
            answer = self.aws.call("cloudformation", "describe_stacks", StackName=name)
        except NotFoundError:
            return None
        status = str(answer["Stacks"][0]["StackStatus"])
        return None if status == GONE else status

    def stacks(self) -> dict[str, str]:
        names = self.aws.names
        ours = (names.network_stack, names.data_stack, names.service_stack)
        return {name: status for name in ours if (status := self.stack_status(name))}

    def templates(self, stacks: Mapping[str, str]) -> dict[str, Any]:
        """The deployed templates, by stack."""
        found = {}
        for name, status in stacks.items():
            if status not in EMPTY:
                body = self.aws.call("cloudformation", "get_template", StackName=name)
                given = body["TemplateBody"]
                found[name] = json.loads(given) if isinstance(given, str) else given
        return found

    def physical_ids(self, stacks: Mapping[str, str]) -> frozenset[str]:
        """The physical names of the resources in these stacks."""
        return frozenset(
            str(each.get("PhysicalResourceId", ""))
            for name in stacks
            for each in self.aws.pages(
                "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=name
            )
        )

    def bootstrap_version(self) -> int:
        try:
            answer = self.aws.call("ssm", "get_parameter", Name=BOOTSTRAP_PARAMETER)
        except NotFoundError:
            return 0
        return int(answer["Parameter"]["Value"])

    def service_roles(self) -> frozenset[str]:
        return frozenset(role for role in SERVICE_ROLES if self._has_role(role))

    def _has_role(self, name: str) -> bool:
        try:
            self.aws.call("iam", "get_role", RoleName=name)
        except NotFoundError:
            return False
        return True

    def zones(self) -> tuple[str, ...]:
        answer = self.aws.call(
            "ec2", "describe_availability_zones",
            Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}],
        )  # fmt: skip
        return tuple(
            zone["ZoneName"]
            for zone in answer["AvailabilityZones"]
            if zone.get("State") == "available"
        )

    def quotas(self) -> dict[str, float]:
        """The quotas that can be read. Each one that cannot is noted in `unread` by itself."""
        found = {}
        for name, (service, code) in QUOTAS.items():
            answer = self.part(
                f"quota of {name}",
                lambda service=service, code=code: self.aws.call(  # type: ignore[misc]
                    "service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code
                ),
            )
            if answer:
                found[name] = float(answer["Quota"]["Value"])
        if not found:
            raise OperatorError(self.unread[f"quota of {VCPU}"])
        return found

    def taken_names(self, wanted: Mapping[str, str]) -> frozenset[str]:
        return frozenset(name for name, type in wanted.items() if self._is_taken(name, type))

    def _is_taken(self, name: str, type: str) -> bool:
        if type == "AWS::RDS::DBCluster":
            try:
                self.aws.call("rds", "describe_db_clusters", DBClusterIdentifier=name)
            except NotFoundError:
                return False
            return True
        groups = self.aws.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name)
        return any(group["logGroupName"] == name for group in groups)

    def certificate(self, arn: str) -> Certificate:
        try:
            found = self.aws.call("acm", "describe_certificate", CertificateArn=arn)["Certificate"]
        except NotFoundError:
            return Certificate(status="", names=())
        return Certificate(
            status=found["Status"], names=tuple(found.get("SubjectAlternativeNames", ()))
        )

    def zone_name(self, id: str) -> str:
        try:
            return str(self.aws.call("route53", "get_hosted_zone", Id=id)["HostedZone"]["Name"])
        except NotFoundError:
            return ""

    def is_verified(self, sender: str) -> bool:
        return any(self._has_identity(name) for name in (sender, sender.partition("@")[2]))

    def _has_identity(self, name: str) -> bool:
        try:
            found = self.aws.call("sesv2", "get_email_identity", EmailIdentity=name)
        except NotFoundError:
            return False
        return bool(found.get("VerifiedForSendingStatus"))

    def may_mail_anybody(self) -> bool:
        return bool(self.aws.call("sesv2", "get_account").get("ProductionAccessEnabled"))

    def subnets(self, ids: list[str]) -> dict[str, Subnet]:
        found = self.aws.pages(
            "ec2", "describe_subnets", "Subnets", Filters=[{"Name": "subnet-id", "Values": ids}]
        )
        return {
            each["SubnetId"]: Subnet(vpc=each["VpcId"], zone=each["AvailabilityZone"])
            for each in found
        }


def read_account(aws: Aws, folder: Path) -> Account:
    """The account and region that `aws` is in, for the templates in a folder of the CDK.

    Raises `OperatorError` where AWS does not know the caller or cannot be reached.
    """
    reader, stage = AccountReader(aws), aws.target.stage
    template = read_template(folder)
    id = str(aws.call("sts", "get_caller_identity")["Account"])
    stacks = reader.part("stacks", reader.stacks)
    arn, zone, sender = stage.certificate_arn, stage.hosted_zone_id, stage.email_from
    is_here = arn and arn.split(":")[3] == aws.region
    subnets = [*stage.public_subnet_ids, *stage.private_subnet_ids, *stage.isolated_subnet_ids]
    return Account(
        stage=stage,
        template=template,
        id=id,
        region=aws.region,
        bootstrap_version=reader.part("bootstrap", reader.bootstrap_version),
        service_roles=reader.part("service roles", reader.service_roles),
        zones=reader.part("zones", reader.zones),
        quotas=reader.part("quotas", reader.quotas),
        addresses=reader.part(
            "addresses", lambda: len(aws.call("ec2", "describe_addresses")["Addresses"])
        ),
        vpcs=reader.part("VPCs", lambda: len(list(aws.pages("ec2", "describe_vpcs", "Vpcs")))),
        stacks=stacks,
        live_names=reader.part("live names", lambda: reader.physical_ids(stacks or {}))
        or frozenset(),
        taken_names=reader.part("names", lambda: reader.taken_names(physical_names(template))),
        changes=reader.part("changes", lambda: _changes(reader, stacks or {}, folder, id)),
        certificate=reader.part("certificate", lambda: reader.certificate(arn))
        if is_here
        else None,
        zone_name=reader.part("hosted zone", lambda: reader.zone_name(zone)) if zone else None,
        sender_is_verified=reader.part("sender", lambda: reader.is_verified(sender))
        if sender
        else None,
        may_mail_anybody=reader.part("sender", reader.may_mail_anybody) if sender else None,
        subnets=reader.part("subnets", lambda: reader.subnets(subnets)) if subnets else None,
        no_value=reader.part("secrets", lambda: _without_value(aws)),
        image_problem="" if stage.image else why_not_buildable(stage.cpu_architecture),
        unread=reader.unread,
    )


def _without_value(aws: Aws) -> tuple[str, ...]:
    stage = aws.target.stage
    places = {
        f"{each.name} ({(place := each.place(stage.names))})": place for each in stage.secrets
    }
    return tuple(without_value(aws, places.items()))


def _changes(
    reader: AccountReader, stacks: Mapping[str, str], folder: Path, account: str
) -> tuple[Change, ...] | None:
    before = reader.templates(stacks)
    if not before:
        return None
    return tuple(changes(before, read_stacks(folder), region=reader.aws.region, account=account))
