"""Makes `cdk destroy` work: moto deletes only some resources of a stack, and recreates others.

moto creates a resource when it is first read. So every read of a deleted stack, which the CDK's
command line does, would create its resources again.
"""

from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend

from scripts.twin.cloudformation.api_resource import client

# Resource types that moto cannot delete: the service, its call, and the argument for the id. A part
# of another resource (a route, a rule of a security group) is deleted with that resource.
CALLS = {
    "AWS::EC2::FlowLog": ("ec2", "delete_flow_logs", "FlowLogIds"),
    "AWS::EC2::InternetGateway": ("ec2", "delete_internet_gateway", "InternetGatewayId"),
    "AWS::EC2::RouteTable": ("ec2", "delete_route_table", "RouteTableId"),
    "AWS::EC2::VPCEndpoint": ("ec2", "delete_vpc_endpoints", "VpcEndpointIds"),
    "AWS::ElasticLoadBalancingV2::Listener": ("elbv2", "delete_listener", "ListenerArn"),
    "AWS::ElasticLoadBalancingV2::TargetGroup": ("elbv2", "delete_target_group", "TargetGroupArn"),
}
EXCEPT_ON_CREATE = "RetainExceptOnCreate"


def apply() -> None:
    """Patch moto in this process."""
    parsing.ResourceMap.delete = _delete_resources  # type: ignore[method-assign]
    CloudFormationBackend.delete_stack = _delete_stack  # type: ignore[method-assign]


def _delete_resources(self: Any) -> None:
    """Delete the resources, the newest first. They stay in moto's map, which would otherwise
    create them again."""
    self.removed = getattr(self, "removed", set())
    bodies = self._resource_json_map
    left = [
        name
        for name in reversed(self._parsed_resources)
        if name in bodies
        and name not in self.removed
        and bodies[name].get("DeletionPolicy") not in getattr(self, "kept", {"Retain"})
    ]
    while left:
        refused: dict[str, Exception] = {}
        for name in left:
            try:
                _delete_resource(self, name, bodies[name])
            except Exception as error:  # another resource still uses it; tried again
                refused[name] = error
            else:
                self.removed.add(name)
        if len(refused) == len(left):
            raise RuntimeError("; ".join(f"{name}: {error}" for name, error in refused.items()))
        left = list(refused)


def _delete_resource(self: Any, name: str, body: Any) -> None:
    resource = self._parsed_resources[name]
    if body["Type"] == "AWS::EC2::VPCGatewayAttachment":
        client("ec2").detach_internet_gateway(
            InternetGatewayId=resource.gateway_id, VpcId=resource.vpc_id
        )
    elif body["Type"] in CALLS:
        service, call, argument = CALLS[body["Type"]]
        id = resource.physical_resource_id
        given = {argument: [id] if argument.endswith("Ids") else id}
        getattr(client(service), call)(**given)
    else:
        self._delete_resource(resource, body)


def _delete_stack(self: Any, name_or_stack_id: str) -> None:
    """The stack can be described while it is deleted, and stays if the deletion fails."""
    for stack in list(self.stacks.values()):
        if name_or_stack_id not in (stack.stack_id, stack.name):
            continue
        exports = [export.name for export in stack.exports]
        # RetainExceptOnCreate, for which moto knows no case, keeps what was once whole.
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
        kept = {"Retain"} if stack.status == "ROLLBACK_COMPLETE" else {"Retain", EXCEPT_ON_CREATE}
        stack.resource_map.kept = kept
        stack.status = "DELETE_IN_PROGRESS"
        try:
            stack.delete()
        except RuntimeError as error:
            stack.status = "DELETE_FAILED"
            stack._add_stack_event("DELETE_FAILED", resource_status_reason=str(error))  # noqa: SLF001
            continue
        self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)
        for name in exports:
            self.exports.pop(name, None)
