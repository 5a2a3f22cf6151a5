"""AWS's service authorization reference: the actions of each service, and their resources.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

import functools
import json
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def kinds_of_resource(prefix: str, action: str) -> list[str] | None:
    """The kinds of resource that the action can be allowed on, empty where it has none; None where
    there is no such action. `prefix` is what stands before the colon in policies."""
    actions = _reference().get(prefix, {}).get("Actions", {})
    if action.lower() not in actions:
        return None
    return list(actions[action.lower()].get("Resources", []))


def named_resources(prefix: str, kinds: Iterable[str], values: Iterable[Any]) -> list[str]:
    """The ARNs among the values of a call that name such a resource."""
    known = _reference().get(prefix, {}).get("Resources", {})
    patterns = [
        _compiled(form)
        for kind in kinds
        for form in known.get(kind.lower(), {}).get("ARNFormats", [])
    ]
    texts = [
        text
        for value in values
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str)
    ]
    return [text for text in texts if any(each.fullmatch(text) for each in patterns)]


@functools.cache
def _reference() -> dict[str, Any]:
    """As cfn-lint carries it. Its file is read, because importing cfn-lint takes 2.6 s."""
    found = find_spec("cfnlint")
    (folder,) = (found.submodule_search_locations if found else None) or ("",)
    file = Path(folder) / "data" / "AdditionalSpecs" / "Policies.json"
    known: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return known


@functools.cache
def _compiled(form: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\$\{\w+\}", "[^:/]*", form))
