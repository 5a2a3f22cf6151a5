"""Corrections of moto where it differs from AWS in what these stacks need."""

import json
import logging
from collections.abc import Callable
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend, Stack
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup
from moto.iam.access_control import PermissionResult
from moto.iam.models import ManagedPolicy
from moto.s3.models import FakeBucket
from moto.secretsmanager.models import SecretsManagerBackend

from scripts.twin.cloudformation.api_resource import client

log = logging.getLogger("twin.cloud")


def apply() -> None:
    """Patch moto in this process."""
    _templates_of_json_are_read_as_json()
    _custom_resources_are_looked_up()
    _names_of_the_balancer_are_known()
    _target_groups_have_their_attributes()
    _unchangeable_resources_stay()
    _services_follow_their_task_definition()
    _exports_follow_an_update()
    _defaults_count_as_previous_values()
    _conditions_of_bucket_policies_hold()
    _buckets_without_a_name_change()
    _policies_leave_their_roles()
    _network_interfaces_have_names()
    _failures_have_their_reason()
    _the_current_version_of_a_secret_is_given()


def set_balancer_address(address: str) -> None:
    """Give every load balancer this DNS name, at which the twin's own balancer answers."""
    FakeLoadBalancer.dns_name = property(  # type: ignore[assignment]
        lambda _: address, lambda _, name: None
    )


def _templates_of_json_are_read_as_json() -> None:
    """moto reads every template as YAML, in Python: that takes a hundred times as long."""
    read = Stack.parse_template

    def parse(template: str) -> Any:
        try:
            return json.loads(template)
        except ValueError:
            return read(template)

    Stack.parse_template = staticmethod(parse)  # type: ignore[method-assign]


def _custom_resources_are_looked_up() -> None:
    """moto would run the Lambda function of a custom resource in a container, and wait for ever."""

    def by_type(resource_type: str) -> Any:
        return parsing.get_model_map().get(resource_type)

    parsing.resource_class_from_type = by_type


def _names_of_the_balancer_are_known() -> None:
    _extend(FakeLoadBalancer, "LoadBalancerFullName", lambda arn: arn.split(":loadbalancer/")[1])
    _extend(FakeTargetGroup, "TargetGroupFullName", lambda arn: arn.split(":")[-1])


def _extend(kind: Any, name: str, value: Callable[[str], str]) -> None:
    known = getattr(kind, "get_cfn_attribute", None)
    has = kind.has_cfn_attr

    def get(self: Any, attribute_name: str) -> Any:
        if attribute_name == name:
            return value(self.arn)
        assert known is not None, attribute_name
        return known(self, attribute_name)

    kind.get_cfn_attribute = get
    kind.has_cfn_attr = classmethod(lambda _cls, attr: attr == name or has(attr))


def _target_groups_have_their_attributes() -> None:
    """moto ignores the attributes, such as the deregistration delay, and keeps its defaults."""
    create = FakeTargetGroup.create_from_cloudformation_json

    def with_attributes(name: str, body: Any, *given: Any, **named: Any) -> Any:
        made = create(name, body, *given, **named)
        for each in body["Properties"].get("TargetGroupAttributes", []):
            made.attributes[each["Key"]] = each["Value"]
        return made

    FakeTargetGroup.create_from_cloudformation_json = with_attributes  # type: ignore[assignment]


def _unchangeable_resources_stay() -> None:
    """moto loses a resource whose properties change, where it cannot update that type."""
    update = parsing.parse_and_update_resource

    def keep(logical_id: str, body: Any, resources: Any, account_id: str, region_name: str) -> Any:
        changed = update(logical_id, body, resources, account_id, region_name)
        return resources[logical_id] if changed is None else changed

    parsing.parse_and_update_resource = keep  # type: ignore[assignment]


def _services_follow_their_task_definition() -> None:
    """A changed task definition is a new revision, so the ECS services that use it change too."""
    difference = parsing.ResourceMap.build_resource_diff

    def with_services(self: Any, other: dict[str, Any], parameters: Any = None) -> Any:
        found = difference(self, other, parameters)
        resources = other["Resources"]
        for name in list(found["Modify"]):
            if resources[name]["Type"] == "AWS::ECS::TaskDefinition":
                found["Modify"] += [
                    service
                    for service, body in resources.items()
                    if body["Type"] == "AWS::ECS::Service"
                    and f"'{name}'" in str(body["Properties"])
                    and service not in found["Modify"]
                ]
        return found

    parsing.ResourceMap.build_resource_diff = with_services  # type: ignore[assignment,method-assign]


def _exports_follow_an_update() -> None:
    update = CloudFormationBackend.update_stack

    def and_export(self: Any, *arguments: Any, **named: Any) -> Stack:
        stack = update(self, *arguments, **named)
        for export in stack.exports:
            self.exports[export.name] = export
        return stack

    CloudFormationBackend.update_stack = and_export  # type: ignore[method-assign]


def _defaults_count_as_previous_values() -> None:
    """moto fails on the previous value of a parameter that was never given."""
    resolve = CloudFormationBackend._resolve_update_parameters  # noqa: SLF001

    def without_defaults(self: Any, instance: Any, incoming_params: list[dict[str, Any]]) -> Any:
        known = [
            each
            for each in incoming_params
            if not each.get("UsePreviousValue") or each["ParameterKey"] in instance.parameters
        ]
        return resolve(self, instance, known)

    CloudFormationBackend._resolve_update_parameters = without_defaults  # type: ignore[method-assign]  # noqa: SLF001


def _conditions_of_bucket_policies_hold() -> None:
    """moto ignores the condition of "deny unless TLS", and would deny everything."""
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL  # type: ignore[method-assign]


def _buckets_without_a_name_change() -> None:
    """moto looks for the name in the template to set tags, and a generated name is not there."""
    known = FakeBucket.update_from_cloudformation_json

    def update(*, original_resource: Any, cloudformation_json: Any, **others: Any) -> Any:
        named = {"BucketName": original_resource.name, **cloudformation_json["Properties"]}
        body = {**cloudformation_json, "Properties": named}
        return known(original_resource=original_resource, cloudformation_json=body, **others)

    FakeBucket.update_from_cloudformation_json = update  # type: ignore[method-assign,assignment]


def _policies_leave_their_roles() -> None:
    """CloudFormation detaches a policy before it deletes it, so that the role can be deleted."""

    def delete(self: Any, _account_id: str, _region_name: str) -> None:
        iam = client("iam")
        for role in iam.list_entities_for_policy(PolicyArn=self.arn)["PolicyRoles"]:
            iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=self.arn)
        iam.delete_policy(PolicyArn=self.arn)

    ManagedPolicy.delete = delete  # type: ignore[attr-defined]


def _network_interfaces_have_names() -> None:
    """moto sets no name in a VPC without DNS host names, and fails when an ECS task reads it."""
    NetworkInterface.private_dns_name = ""


def _failures_have_their_reason() -> None:
    """Where a resource fails, moto answers 500. The CDK retries, and gets "the stack exists".

    On AWS the call succeeds, and the stack's events have the reason.
    """
    create, update = CloudFormationBackend.create_stack, CloudFormationBackend.update_stack

    def create_or_say(self: Any, *given: Any, **named: Any) -> Stack:
        known = set(self.stacks)
        try:
            return create(self, *given, **named)
        except Exception as error:
            made = [stack for id, stack in self.stacks.items() if id not in known]
            if not made:
                raise
            stack: Stack = made[0]
            _fail(stack, "CREATE_FAILED", "ROLLBACK_COMPLETE", error)
            return stack

    def update_or_say(self: Any, name: str, *given: Any, **named: Any) -> Stack:
        stack: Stack = self.get_stack(name)
        before, events = stack.template, len(stack.events)
        try:
            return update(self, name, *given, **named)
        except Exception as error:
            if len(stack.events) == events:  # refused before it began
                raise
            stack.template = before
            stack._parse_template()  # noqa: SLF001
            _fail(stack, "UPDATE_FAILED", "UPDATE_ROLLBACK_COMPLETE", error)
            return stack

    CloudFormationBackend.create_stack = create_or_say  # type: ignore[method-assign]
    CloudFormationBackend.update_stack = update_or_say  # type: ignore[method-assign]


def _fail(stack: Stack, event: str, status: str, error: Exception) -> None:
    log.error("stack %s: %s", stack.name, event, exc_info=error)
    reason = str(error) or repr(error)
    stack._add_stack_event(event, resource_status_reason=reason)  # noqa: SLF001
    stack._add_stack_event(status)  # noqa: SLF001
    stack.status = status


def _the_current_version_of_a_secret_is_given() -> None:
    """Without a version, moto returns the last version that was put as current, even after the
    label AWSCURRENT has moved to another."""
    update = SecretsManagerBackend.update_secret_version_stage

    def with_default(
        self: SecretsManagerBackend, secret_id: str, version_stage: str, *given: Any, **named: Any
    ) -> Any:
        answer = update(self, secret_id, version_stage, *given, **named)
        secret: Any = self.secrets[secret_id]
        for version, found in secret.versions.items():
            if "AWSCURRENT" in found["version_stages"]:
                secret.set_default_version_id(version)
        return answer

    SecretsManagerBackend.update_secret_version_stage = with_default  # type: ignore[method-assign]
