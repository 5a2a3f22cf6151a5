"""References of a synthesized stage are resolved across its stacks."""

from typing import Any

import pytest

from scripts.templates.template import Template

NETWORK = {
    "Resources": {"Key": {"Type": "AWS::KMS::Key"}},
    "Outputs": {
        "KeyArn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}, "Export": {"Name": "network:Key"}}
    },
}


def resolve(value: Any) -> Any:
    service = {"Resources": {"It": {"Type": "T", "Properties": {"value": value}}}}
    template = Template({"network": NETWORK, "service": service})
    (found,) = template.all("T")
    return found.properties["value"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"Ref": "It"}, "service/It"),
        ({"Ref": "AWS::Region"}, "AWS::Region"),
        ({"Fn::GetAtt": ["It", "Arn"]}, "service/It.Arn"),
        ({"Fn::ImportValue": "network:Key"}, "network/Key.Arn"),
        ({"Fn::Join": ["", [{"Fn::ImportValue": "network:Key"}, "/*"]]}, "network/Key.Arn/*"),
        (
            {"Fn::Sub": "${AWS::AccountId}/${It}:${!literal}"},
            "AWS::AccountId/service/It:${!literal}",
        ),
        ([{"Ref": "It"}, {"a": {"Ref": "It"}}], ["service/It", {"a": "service/It"}]),
        ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, 'Fn::Select [0, {"Fn::GetAZs": ""}]'),
        ({"Fn::ImportValue": "nobody's"}, 'Fn::ImportValue "nobody\'s"'),
        ({"Name": "Ref", "Value": 1}, {"Name": "Ref", "Value": 1}),
    ],
)
def test_a_reference_becomes_the_name_of_what_it_means(value: Any, found: Any) -> None:
    assert resolve(value) == found


def test_an_attribute_leads_to_its_resource() -> None:
    template = Template({"network": NETWORK})
    found = template.get("network/Key.Arn")
    assert found is not None
    assert found.type == "AWS::KMS::Key"
    assert template.get("network/Nothing") is None
