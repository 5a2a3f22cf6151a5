"""The patterns of policies: wildcards, ARNs and policy variables.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import functools
import re
from collections.abc import Mapping

from scripts.twin.iam.three_values import Maybe, every

# What is known about a request, by condition key in lower case. A key that is missing is absent
# from the request; one that is None may be in it, and only AWS knows its values.
Context = Mapping[str, list[str] | None]
ARN_PARTS = 6
VARIABLE = re.compile(r"\$\{([^}]*)\}")
CHARACTERS = {"*", "?", "$"}  # `${*}` is the character itself


def action_like(pattern: str, action: str) -> bool:
    """Letter case does not count in actions."""
    return _compiled(pattern.lower(), True).fullmatch(action.lower()) is not None


def resource_like(pattern: str, arn: str, context: Context | None = None) -> Maybe:
    """A `*` also matches colons, as at the end of an ARN's part. Pass no context for a policy of
    version 2008-10-17, which has no variables."""
    return like(pattern, arn, context)


def arn_like(pattern: str, arn: str, context: Context | None = None) -> Maybe:
    """As conditions compare ARNs: each of the six parts by itself. A pattern with fewer parts
    matches only by a `*` at its end."""
    wanted, given = (text.split(":", ARN_PARTS - 1) for text in (pattern, arn))
    if len(wanted) < ARN_PARTS or len(given) < ARN_PARTS:
        return like(pattern, arn, context) if pattern.endswith("*") else False
    return every(like(one, other, context) for one, other in zip(wanted, given, strict=True))


def like(pattern: str, text: str, context: Context | None = None, *, wild: bool = True) -> Maybe:
    """Does the text match? With a context, variables count; their values are taken literally."""
    if context is None or "${" not in pattern:
        return _compiled(pattern, wild).fullmatch(text) is not None
    regex, last = "", 0
    for found in VARIABLE.finditer(pattern):
        regex += _regex(pattern[last : found.start()], wild)
        last = found.end()
        name, _, default = (part.strip() for part in found[1].partition(","))
        key = name.lower()
        if key in CHARACTERS:
            regex += re.escape(key)
        elif is_unknown(key, context):
            return None
        elif values := context.get(key):
            regex += re.escape(values[0])
        elif default:
            regex += re.escape(default.strip("'"))
        else:
            return False
    return re.fullmatch(regex + _regex(pattern[last:], wild), text, re.DOTALL) is not None


def lacks_value(pattern: str, context: Context | None) -> bool:
    """Has it a variable of which the request has no value, and the pattern no default?"""
    if context is None:
        return False
    names = [
        found[1].strip().lower() for found in VARIABLE.finditer(pattern) if "," not in found[1]
    ]
    return any(
        name not in CHARACTERS and not is_unknown(name, context) and not context.get(name)
        for name in names
    )


def is_unknown(key: str, context: Context) -> bool:
    """Does only AWS know the key's values? Tags are not looked at here."""
    if key in context:
        return context[key] is None
    return "tag/" in key or key == "aws:tagkeys"


def _regex(pattern: str, wild: bool) -> str:
    escaped = re.escape(pattern)
    return escaped.replace(r"\*", ".*").replace(r"\?", ".") if wild else escaped


@functools.lru_cache(4096)
def _compiled(pattern: str, wild: bool) -> re.Pattern[str]:
    return re.compile(_regex(pattern, wild), re.DOTALL)
