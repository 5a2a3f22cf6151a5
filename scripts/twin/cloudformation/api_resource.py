"""A CloudFormation resource that is created by calls to AWS's own API."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import boto3
from botocore.model import Shape
from moto.core.common_models import CloudFormationModel

Properties = dict[str, Any]


@dataclass
class Answer:
    """The created resource: the value of Ref, and the values of GetAtt."""

    ref: str
    attributes: dict[str, Any] = field(default_factory=dict)


Make = Callable[[str, Properties], Answer]


@dataclass(frozen=True)
class Recipe:
    """How a resource type is created, changed and removed.

    Without `change` an update changes nothing; without `remove` a deletion does nothing.
    """

    kind: str
    make: Make
    change: Callable[[Answer, Properties], Answer] | None = None
    remove: Callable[[str, Properties], None] | None = None


class Made(CloudFormationModel):
    """The base of the resource classes; each has one recipe."""

    recipe: ClassVar[Recipe]

    def __init__(self, answer: Answer, given: Properties) -> None:
        self.answer, self.given = answer, given

    @property
    def physical_resource_id(self) -> str:
        return self.answer.ref

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return True

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        return self.answer.attributes[attribute_name]

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_kwargs: Any,
    ) -> "Made":
        given = cloudformation_json["Properties"]
        return cls(cls.recipe.make(resource_name, given), given)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "Made":
        if cls.recipe.change is None:
            return original_resource  # type: ignore[no-any-return]
        given = cloudformation_json["Properties"]
        return cls(cls.recipe.change(original_resource.answer, given), given)

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        """Never called: moto calls `delete` first, which has the resolved properties."""

    def delete(self, account_id: str, region_name: str) -> None:
        if self.recipe.remove is not None:
            self.recipe.remove(self.answer.ref, self.given)


def made_by(kind_recipe: Recipe) -> type[Made]:
    """The class that moto's CloudFormation looks up by the resource type."""

    class OfKind(Made):
        recipe = kind_recipe

        @staticmethod
        def cloudformation_type() -> str:
            return kind_recipe.kind

    return OfKind


@cache  # one takes longer to make than all its calls
def client(service: str) -> Any:
    """boto3's client of a service of this twin."""
    return boto3.client(service)  # type: ignore[call-overload]


def call(service: str, operation: str, given: Properties, *, camel: bool = False) -> dict[str, Any]:
    """One call, with only those properties that the operation knows."""
    meta = client(service).meta
    shape = meta.service_model.operation_model(meta.method_to_api_mapping[operation]).input_shape
    answer: dict[str, Any] = getattr(client(service), operation)(**fit(given, shape, camel))
    return answer


def fit(value: Any, shape: Shape, camel: bool) -> Any:  # noqa: PLR0911 - a table
    """A CloudFormation property as the API takes it: its types and, with `camel`, key names."""
    match shape.type_name:
        case "structure":
            members = shape.members  # type: ignore[attr-defined]
            found = {_lower_first(key) if camel else key: each for key, each in value.items()}
            return {
                key: fit(each, members[key], camel) for key, each in found.items() if key in members
            }
        case "list":
            return [fit(each, shape.member, camel) for each in value]  # type: ignore[attr-defined]
        case "map":
            if isinstance(value, list):  # the tags of some services
                return {each["Key"]: str(each["Value"]) for each in value}
            return {key: str(each) for key, each in value.items()}
        case "boolean":
            return str(value).lower() == "true"
        case "integer" | "long":
            return int(value)
        case "float" | "double":
            return float(value)
        case _:
            return str(value)


def _lower_first(key: str) -> str:
    return key[0].lower() + key[1:]
