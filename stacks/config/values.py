"""The types of values that a configuration key may have. Standard library only."""

import dataclasses
import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from service.contract import QUEUE_WEIGHT_MAX, ServedQueues

# RFC 1918 and 6598: AWS recommends them for a VPC, and no host on the internet has one.
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
PRIVATE_NETWORKS = tuple(
    ipaddress.IPv4Network(block)
    for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


class ConfigError(Exception):
    """The configuration cannot be deployed; `problems` has one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"the configuration has {len(problems)} problem(s):\n{lines}")


# One label of a domain name, without the dot: RFC 1035.
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = rf"({LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])"
EMAIL = rf"(?!.*\.\.)(?!\.)[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}(?<!\.)@(?i:{DOMAIN})"


def text(pattern: str, default: str, *, what: str, example: str = "", most: int = 253) -> Any:
    """Text that matches `pattern` as a whole, with `most` characters at most.

    An empty default may also be given as "". The error for other text shows `what` and `example`.
    """
    rule = {"pattern": pattern, "what": what, "example": example or default, "most": most}
    return _field(default, kind="text", **rule)


def names(pattern: str, *, what: str, example: str) -> Any:
    """A list of texts, empty by default; on the command line separated by commas."""
    return _field((), kind="names", pattern=pattern, what=what, example=example, most=253)


def network(widest: int, narrowest: int, default: str) -> Any:
    """A private IPv4 network as AWS writes it, with a prefix from `widest` to `narrowest`."""
    return _field(default, kind="network", widest=widest, narrowest=narrowest, example=default)


def number(least: float, most: float, default: float) -> Any:
    """A number from `least` to `most`; a whole number if the field's type is int."""
    return _field(default, kind="number", least=least, most=most)


def count(most: int) -> Any:
    """A whole number from 0 to `most`, or None by default."""
    return _field(None, kind="number", least=0, most=most)


def choice(options: tuple[Any, ...], default: Any) -> Any:
    """One of the options."""
    return _field(default, kind="choice", options=options)


def queues() -> Any:
    """The queues that workers serve; on the command line as `WORKER_QUEUES` spells them."""
    return _field(ServedQueues(), kind="queues", example="default,mail")


def flag(default: bool) -> Any:
    """True or false."""
    return _field(default, kind="flag")


def _field(default: object, **rule: object) -> Any:
    return dataclasses.field(default=default, metadata=rule)


def allowed(field: dataclasses.Field[Any]) -> str:
    """The allowed values of this key, in words."""
    rule = field.metadata
    match rule["kind"]:
        case "flag":
            return "true or false"
        case "choice":
            return "one of " + ", ".join(str(option) for option in rule["options"])
        case "number":
            whole = "a number" if "float" in str(field.type) else "a whole number"
            return f"{whole} from {rule['least']:g} to {rule['most']:g}"
        case "network":
            return (
                f"a network of {', '.join(map(str, PRIVATE_NETWORKS))} from "
                f"/{rule['widest']} to /{rule['narrowest']}, by its first address, "
                f"such as {rule['example']}"
            )
        case "queues":
            return (
                'a list of queues, strictly in this order (["reports", "mail"]), or a table of '
                f"weights from 1 to {QUEUE_WEIGHT_MAX} ({{ reports = 3, mail = 1 }}); a queue's "
                "name is a-z, 0-9 and hyphens, a letter first, 31 at most"
            )
        case kind:
            of_each = "a list, each " if kind == "names" else ""
            return (
                f"{of_each}{rule['what']}, such as {rule['example']} "
                f"({rule['most']} characters at most)"
            )


def check(field: dataclasses.Field[Any], value: object, *, called: str) -> Any:
    """`value` as this key's type. Raises ValueError with the key as the file spells it, the value
    and what is allowed."""
    try:
        return _read(field, value)
    except (TypeError, ValueError, KeyError):
        raise ValueError(f"{called} = {value!r}: allowed is {allowed(field)}") from None


def _read(field: dataclasses.Field[Any], value: object) -> Any:
    rule = field.metadata
    match rule["kind"]:
        case "flag" | "queues" as kind:
            return {"flag": _flag, "queues": _queues}[kind](value)
        case "choice":
            return {str(option): option for option in rule["options"]}[_plain(value)]
        case "number":
            return _number(field, value)
        case "names":
            items = value if isinstance(value, list | tuple) else _plain(value).split(",")
            return tuple(_match(rule, _plain(item).strip()) for item in items if item)
        case "network":
            return _network(rule, _plain(value))
        case _:
            given = _plain(value)
            return given if given == field.default else _match(rule, given)


def _plain(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(value)
    return str(value)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in TRUE + FALSE:
        raise ValueError(value)
    return value.lower() in TRUE


def _number(field: dataclasses.Field[Any], value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(value)
    given = float(value)
    if not field.metadata["least"] <= given <= field.metadata["most"]:
        raise ValueError(value)
    if "float" in str(field.type):
        return given
    if given != int(given):
        raise ValueError(value)
    return int(given)


def _queues(value: object) -> ServedQueues:
    if isinstance(value, str):
        return ServedQueues.read(value)
    if isinstance(value, dict):
        if not all(type(weight) is int for weight in value.values()):
            raise TypeError(value)
        found = ServedQueues.read(",".join(f"{name}={weight}" for name, weight in value.items()))
    elif isinstance(value, list):
        found = ServedQueues.read(",".join(value))
    else:
        raise TypeError(value)
    if list(found.names) != list(value):  # an item with a comma or weight in it
        raise ValueError(value)
    return found


def _match(rule: Mapping[str, Any], given: str) -> str:
    if len(given) > rule["most"] or not re.fullmatch(rule["pattern"], given):
        raise ValueError(given)
    return given


def _network(rule: Mapping[str, Any], given: str) -> str:
    found = ipaddress.IPv4Network(given)  # raises if it is not the network's first address
    if not rule["widest"] <= found.prefixlen <= rule["narrowest"]:
        raise ValueError(given)
    if not any(found.subnet_of(private) for private in PRIVATE_NETWORKS):
        raise ValueError(given)
    return str(found)


def unknown(key: str, known: Iterable[str]) -> str:
    """The error for a key that does not exist."""
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(sorted(known))}"
    return f"{key}: no such key; {hint}"
