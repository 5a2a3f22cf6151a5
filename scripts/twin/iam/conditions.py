"""The conditions of a statement.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

import ipaddress
import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from scripts.twin.iam.patterns import Context, arn_like, is_unknown, like
from scripts.twin.iam.three_values import Maybe, every, opposite, some

# The value in the policy, that in the request, and the context or None where there are no variables
Test = Callable[[str, str, Context | None], Maybe]


def are_met(conditions: Mapping[str, Any], context: Context, *, variables: bool = True) -> Maybe:
    """Are all conditions of a statement met? None where only AWS can tell."""
    return every(
        _is_met(name, key.lower(), _texts(wanted), context, context if variables else None)
        for name, keys in conditions.items()
        for key, wanted in keys.items()
    )


def many(value: Any) -> list[Any]:
    """A policy has one thing as itself or as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _texts(values: Any) -> list[str]:
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in many(values)]


def _is_met(
    name: str, key: str, wanted: list[str], context: Context, variables: Context | None
) -> Maybe:
    quantifier, _, name = name.rpartition(":")
    is_optional, name = name.endswith("IfExists"), name.removesuffix("IfExists")
    if is_unknown(key, context):
        return None
    values = context.get(key) or []
    if name == "Null":
        return ("false" if values else "true") in {each.lower() for each in wanted}
    if name not in OPERATORS:
        return None
    if not values and is_optional:
        return True
    test, is_negated = OPERATORS[name]
    if not values:
        # A key that is not there differs from every value.
        return quantifier == "ForAllValues" or (is_negated and quantifier != "ForAnyValue")
    results = []
    for value in values:
        found = some(test(each, value, variables) for each in wanted)
        results.append(opposite(found) if is_negated else found)
    return some(results) if quantifier == "ForAnyValue" else every(results)


def _equals(wanted: str, value: str, context: Context | None) -> Maybe:
    return like(wanted, value, context, wild=False)


def _equals_in_any_case(wanted: str, value: str, context: Context | None) -> Maybe:
    return like(wanted.lower(), value.lower(), context, wild=False)


def _is(wanted: str, value: str, _: Context | None) -> Maybe:
    return wanted.lower() == value.lower()


def _is_in(wanted: str, value: str, _: Context | None) -> Maybe:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _compared(compare: Callable[[Any, Any], bool], read: Callable[[str], float]) -> Test:
    def test(wanted: str, value: str, _: Context | None) -> Maybe:
        try:
            return compare(read(value), read(wanted))
        except ValueError:
            return False

    return test


def _moment(text: str) -> float:
    return float(text) if text.isdigit() else datetime.fromisoformat(text).timestamp()


# Each operator: its test, and whether it asks for the opposite.
OPERATORS: dict[str, tuple[Test, bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_in_any_case, False),
    "StringNotEqualsIgnoreCase": (_equals_in_any_case, True),
    "StringLike": (like, False),
    "StringNotLike": (like, True),
    "ArnEquals": (arn_like, False),
    "ArnNotEquals": (arn_like, True),
    "ArnLike": (arn_like, False),
    "ArnNotLike": (arn_like, True),
    "Bool": (_is, False),
    "BinaryEquals": (_equals, False),
    "IpAddress": (_is_in, False),
    "NotIpAddress": (_is_in, True),
}
for _kind, _read in (("Numeric", float), ("Date", _moment)):
    OPERATORS |= {
        f"{_kind}Equals": (_compared(operator.eq, _read), False),
        f"{_kind}NotEquals": (_compared(operator.eq, _read), True),
        f"{_kind}LessThan": (_compared(operator.lt, _read), False),
        f"{_kind}LessThanEquals": (_compared(operator.le, _read), False),
        f"{_kind}GreaterThan": (_compared(operator.gt, _read), False),
        f"{_kind}GreaterThanEquals": (_compared(operator.ge, _read), False),
    }
