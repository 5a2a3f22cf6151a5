"""Whether policies allow a right: an explicit deny wins, else an allow, else it is refused.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html

What cannot be known here never refuses: a deny whose condition only AWS knows does not count, and
an allow of that kind counts. Both are named in the verdict's `unknown`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.twin.iam.conditions import are_met, many
from scripts.twin.iam.patterns import Context, action_like, lacks_value, resource_like
from scripts.twin.iam.three_values import Maybe, every, opposite, some

IDENTITY, RESOURCE = "identity-based policy", "resource-based policy"
BOUNDARY, SESSION = "permissions boundary", "session policy"
VARIABLES_SINCE = "2012-10-17"  # the version of a document


@dataclass(frozen=True)
class Right:
    """One action on one resource; the resource is None where it cannot be told here."""

    action: str
    resource: str | None = "*"
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """A document, and its kind in AWS's words."""

    kind: str
    name: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Principal:
    """Who asks: a session of a role (`arn` is the session's), or a service of AWS."""

    arn: str = ""
    role_arn: str = ""
    account: str = ""
    service: str = ""


@dataclass(frozen=True)
class Verdict:
    """`reason` is the end of AWS's sentence about a refusal, `statement` the one that decided, and
    `unknown` those that only AWS can judge."""

    is_allowed: bool
    reason: str = ""
    statement: str = ""
    unknown: tuple[str, ...] = ()


def evaluate(  # noqa: PLR0911 - a list of rules
    right: Right,
    who: Principal,
    identity: Iterable[Policy],
    *,
    limits: Iterable[Policy] = (),
    resource: Policy | None = None,
    needs_resource: bool = False,
) -> Verdict:
    """The verdict on a right.

    Each of `limits` (permissions boundary, session policy) has to allow it as well; with
    `needs_resource` the resource's own policy has to (keys, and trust in roles).
    """
    context = {**_of_every_request(who), **right.context}
    of_identity, of_limits = list(identity), list(limits)
    found = {
        id(policy): _read(policy, right, who, context)
        for policy in (*of_identity, *of_limits, *([resource] if resource else ()))
    }
    for policy in (*of_identity, *of_limits, *([resource] if resource else ())):
        if denied := found[id(policy)].denied:
            article = "an" if policy.kind[0] in "aeiou" else "a"
            return Verdict(False, f"with an explicit deny in {article} {policy.kind}", denied)
    unknown = tuple(name for each in found.values() for name in each.maybe_denied)
    own = found[id(resource)] if resource else Findings()
    closed = next((each.kind for each in of_limits if not found[id(each)].may_allow), None)
    if own.allowed and (own.names_session or closed is None):
        return Verdict(True, statement=own.allowed, unknown=unknown)
    if needs_resource and not own.is_left_to_account:
        if own.maybe_allowed and closed is None:
            return Verdict(True, unknown=(*unknown, *own.maybe_allowed))
        return _refused(RESOURCE, right)
    statements = [found[id(each)] for each in of_identity]
    allowed = next((each.allowed for each in statements if each.allowed), "")
    maybe = [*own.maybe_allowed, *(name for each in statements for name in each.maybe_allowed)]
    if not allowed and not maybe:
        return _refused(IDENTITY, right)
    if closed:
        return _refused(closed, right)
    limited = [name for each in of_limits if not found[id(each)].allowed
               for name in found[id(each)].maybe_allowed]  # fmt: skip
    unsure = [*limited, *(() if allowed else maybe[:1])]
    return Verdict(True, statement=allowed, unknown=(*unknown, *unsure))


def _refused(kind: str, right: Right) -> Verdict:
    return Verdict(False, f"because no {kind} allows the {right.action} action")


@dataclass
class Findings:
    """What one policy says about a right; the statements by name."""

    allowed: str = ""
    denied: str = ""
    names_session: bool = False  # such a grant is not limited by boundary and session policy
    is_left_to_account: bool = False  # the identity's own policies decide
    maybe_allowed: list[str] = field(default_factory=list)
    maybe_denied: list[str] = field(default_factory=list)

    @property
    def may_allow(self) -> bool:
        return bool(self.allowed or self.maybe_allowed)


def _read(policy: Policy, right: Right, who: Principal, context: Context) -> Findings:
    found = Findings()
    has_variables = policy.document.get("Version") == VARIABLES_SINCE
    known = context if has_variables else None
    for number, statement in enumerate(many(policy.document.get("Statement"))):
        name = f"{policy.name}/{statement.get('Sid') or number}"
        share, is_named = _share(statement, who)
        fits = every(
            (
                is_named,
                _names_action(statement, right.action),
                _names_resource(statement, right.resource, known),
                are_met(statement.get("Condition") or {}, context, variables=has_variables),
            )
        )
        is_deny = statement.get("Effect") == "Deny"
        if fits is None:
            (found.maybe_denied if is_deny else found.maybe_allowed).append(name)
        elif fits and is_deny:
            found.denied = found.denied or name
        elif fits and share == "account":
            found.is_left_to_account = True
        elif fits:
            found.allowed = found.allowed or name
            found.names_session |= share == "session"
    return found


def _share(statement: Mapping[str, Any], who: Principal) -> tuple[str, Maybe]:
    """By which name the caller is meant (`session`, `role` or `account`), and whether it is."""
    if "NotPrincipal" in statement:
        shares = _named(statement["NotPrincipal"], who)
        if not shares:
            return "role", True
        # AWS may look at the account before the role, which then has to be listed too.
        return "role", False if who.service or len(shares) > 1 else None
    if "Principal" not in statement:  # in a policy of an identity
        return "role", True
    shares = _named(statement["Principal"], who)
    return (shares[0], True) if shares else ("", False)


def _named(principal: Any, who: Principal) -> list[str]:
    named = ["*"] if principal == "*" else many(principal.get("AWS"))
    if "*" in named:
        return ["session", "account"]
    if who.service:
        return ["role"] if who.service in many(principal.get("Service")) else []
    root = f"arn:{who.role_arn.split(':')[1]}:iam::{who.account}:root" if who.role_arn else ""
    shares = {
        "session": {who.arn}, "role": {who.role_arn}, "account": {who.account, root},
    }  # fmt: skip
    return [share for share, names in shares.items() if (names - {""}) & set(named)]


def _names_action(statement: Mapping[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(action_like(each, action) for each in many(statement["NotAction"]))
    return any(action_like(each, action) for each in many(statement.get("Action")))


def _names_resource(
    statement: Mapping[str, Any], resource: str | None, context: Context | None
) -> Maybe:
    is_negated = "NotResource" in statement
    # A trust policy has no resource: it is the role's own.
    patterns = many(statement.get("NotResource" if is_negated else "Resource", "*"))
    if is_negated and any(lacks_value(each, context) for each in patterns):
        return False  # such a statement does not count
    if resource is None:
        found: Maybe = True if "*" in patterns else None
    else:
        found = some(resource_like(each, resource, context) for each in patterns)
    return opposite(found) if is_negated else found


def _of_every_request(who: Principal) -> dict[str, list[str] | None]:
    """The keys that AWS adds to every request. Calls to the twin are without TLS, and count as
    calls with it."""
    known: dict[str, list[str] | None] = {
        "aws:securetransport": ["true"],
        "s3:tlsversion": ["1.3"],
        "aws:viaawsservice": ["false"],
        **dict.fromkeys(
            ("aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip",
             "aws:useragent", "aws:principalorgid", "aws:resourceorgid",
             "aws:principalorgpaths", "aws:resourceorgpaths"),
        ),
    }  # fmt: skip
    if who.service:
        return {
            **known,
            "aws:principalisawsservice": ["true"],
            "aws:principalservicename": [who.service],
        }
    return {
        **known,
        "aws:principalisawsservice": ["false"],
        "aws:principaltype": ["AssumedRole"],
        "aws:principalarn": [who.role_arn],
        "aws:principalaccount": [who.account],
        "aws:resourceaccount": [who.account],
    }
