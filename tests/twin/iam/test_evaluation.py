"""What policies allow. The cases are those of AWS's documents, in our words.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from typing import Any

import pytest

from scripts.twin.iam.evaluation import (
    BOUNDARY,
    IDENTITY,
    RESOURCE,
    SESSION,
    Policy,
    Principal,
    Right,
    Verdict,
    evaluate,
)

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pool/worker"
WHO = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/one", ROLE, ACCOUNT)
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
BOX = "arn:aws:s3:::box/results/1.csv"
ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
DENY = {**ALLOW, "Effect": "Deny"}
ANYBODY = {"Principal": "*"}
ME, MY_SESSION, MY_ACCOUNT = ({"Principal": {"AWS": each}} for each in (ROLE, WHO.arn, ROOT))


def policy(kind: str, *statements: dict[str, Any], version: str = "2012-10-17") -> Policy:
    return Policy(kind, kind, {"Version": version, "Statement": list(statements)})


def judged(
    identity: list[dict[str, Any]], *, resource: list[dict[str, Any]] | None = None,
    boundary: list[dict[str, Any]] | None = None, session: list[dict[str, Any]] | None = None,
    action: str = "s3:GetObject", on: str | None = BOX, needs_resource: bool = False,
    who: Principal = WHO, version: str = "2012-10-17", **context: Any,
) -> Verdict:  # fmt: skip
    limits = [(BOUNDARY, boundary), (SESSION, session)]
    return evaluate(
        Right(action, on, {key.replace("_", ":", 1): each for key, each in context.items()}),
        who,
        [policy(IDENTITY, *identity, version=version)],
        limits=[policy(kind, *given) for kind, given in limits if given is not None],
        resource=None if resource is None else policy(RESOURCE, *resource),
        needs_resource=needs_resource,
    )


NO_ALLOW = "because no {} allows the s3:GetObject action"
WITH_DENY = "with an explicit deny in {}"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        # An allow, a deny that is not written, and one that is: the last wins over every allow.
        ({"identity": [ALLOW]}, None),
        ({"identity": []}, NO_ALLOW.format(IDENTITY)),
        ({"identity": [ALLOW, DENY]}, WITH_DENY.format(f"an {IDENTITY}")),
        ({"identity": [DENY]}, WITH_DENY.format(f"an {IDENTITY}")),
        # In one account an allow of the resource's policy is enough, and a deny of it too.
        ({"identity": [], "resource": [ALLOW | ME]}, None),
        ({"identity": [], "resource": [ALLOW | ANYBODY]}, None),
        ({"identity": [], "resource": [ALLOW | MY_SESSION]}, None),
        ({"identity": [ALLOW], "resource": [DENY | ME]}, WITH_DENY.format(f"a {RESOURCE}")),
        ({"identity": [ALLOW], "resource": [DENY | ANYBODY]}, WITH_DENY.format(f"a {RESOURCE}")),
        ({"identity": [], "resource": [ALLOW | {"Principal": {"AWS": ROLE + "2"}}]},
         NO_ALLOW.format(IDENTITY)),
        ({"identity": [], "resource": [ALLOW | {"Principal": {"Service": "s3.amazonaws.com"}}]},
         NO_ALLOW.format(IDENTITY)),
        # An allow for the account leaves it to the identity's policies.
        ({"identity": [], "resource": [ALLOW | MY_ACCOUNT]}, NO_ALLOW.format(IDENTITY)),
        ({"identity": [ALLOW], "resource": [ALLOW | MY_ACCOUNT], "needs_resource": True}, None),
        # A key's policy has to allow it itself, or to leave it to the account.
        ({"identity": [ALLOW], "resource": [], "needs_resource": True}, NO_ALLOW.format(RESOURCE)),
        ({"identity": [ALLOW], "needs_resource": True}, NO_ALLOW.format(RESOURCE)),
        ({"identity": [], "resource": [ALLOW | ME], "needs_resource": True}, None),
        # A boundary and a session policy give nothing, and each has to allow it too.
        ({"identity": [ALLOW], "boundary": [ALLOW], "session": [ALLOW]}, None),
        ({"identity": [], "boundary": [ALLOW]}, NO_ALLOW.format(IDENTITY)),
        ({"identity": [ALLOW], "boundary": []}, NO_ALLOW.format(BOUNDARY)),
        ({"identity": [ALLOW], "session": []}, NO_ALLOW.format(SESSION)),
        ({"identity": [ALLOW], "boundary": [DENY]}, WITH_DENY.format(f"a {BOUNDARY}")),
        # They limit what a resource gives to the role, but not what it gives to the session.
        ({"identity": [], "resource": [ALLOW | ME], "boundary": []}, NO_ALLOW.format(IDENTITY)),
        ({"identity": [], "resource": [ALLOW | MY_SESSION], "boundary": [], "session": []}, None),
    ],
)  # fmt: skip
def test_a_deny_wins_then_an_allow_and_else_it_is_refused(
    given: dict[str, Any], reason: str | None
) -> None:
    found = judged(**given)
    assert (found.is_allowed, found.reason) == (reason is None, reason or "")


@pytest.mark.parametrize(
    ("elements", "action", "on", "is_named"),
    [
        ({"Action": "s3:*", "Resource": "*"}, "s3:GetObject", BOX, True),
        ({"Action": "S3:getobject", "Resource": "*"}, "s3:GetObject", BOX, True),
        ({"Action": "s3:Get?bject", "Resource": "*"}, "s3:GetObject", BOX, True),
        ({"Action": ["s3:Put*", "s3:Get*"], "Resource": "*"}, "s3:GetObject", BOX, True),
        ({"Action": "s3:Get", "Resource": "*"}, "s3:GetObject", BOX, False),
        ({"Action": "*", "Resource": "*"}, "sqs:SendMessage", BOX, True),
        ({"NotAction": "iam:*", "Resource": "*"}, "s3:GetObject", BOX, True),
        ({"NotAction": ["iam:*", "s3:*"], "Resource": "*"}, "s3:GetObject", BOX, False),
        ({"Action": "*", "Resource": "arn:aws:s3:::box/results/*"}, "s3:GetObject", BOX, True),
        ({"Action": "*", "Resource": "arn:aws:s3:::box/*/1.csv"}, "s3:GetObject", BOX, True),
        ({"Action": "*", "Resource": "arn:aws:s3:::box/results/?.csv"}, "s3:GetObject", BOX, True),
        ({"Action": "*", "Resource": "arn:aws:s3:::BOX/results/*"}, "s3:GetObject", BOX, False),
        ({"Action": "*", "Resource": "arn:aws:s3:::box"}, "s3:GetObject", BOX, False),
        ({"Action": "*", "Resource": "arn:aws:s3:::box/payloads/*"}, "s3:GetObject", BOX, False),
        ({"Action": "*", "NotResource": "arn:aws:s3:::box/*"}, "s3:GetObject", BOX, False),
        ({"Action": "*", "NotResource": "arn:aws:s3:::bag/*"}, "s3:GetObject", BOX, True),
        ({"Action": "*", "Resource": "arn:aws:s3:::box/${aws:PrincipalAccount}/*"},
         "s3:GetObject", f"arn:aws:s3:::box/{ACCOUNT}/1", True),
        ({"Action": "*", "Resource": "arn:aws:s3:::box/${aws:username, 'all'}/*"},
         "s3:GetObject", "arn:aws:s3:::box/all/1", True),
        ({"Action": "*", "Resource": "arn:aws:s3:::box/${aws:username}/*"},
         "s3:GetObject", "arn:aws:s3:::box/all/1", False),
        ({"Action": "*", "NotResource": "arn:aws:s3:::bag/${aws:username}"},
         "s3:GetObject", BOX, False),
        ({"Action": "*", "NotResource": "arn:aws:s3:::bag/${aws:PrincipalAccount}"},
         "s3:GetObject", BOX, True),
        ({"Action": "*", "Resource": "arn:aws:s3:::box/${*}"}, "s3:GetObject", BOX, False),
        ({"Action": "*", "Resource": "arn:aws:s3:::box/${*}"},
         "s3:GetObject", "arn:aws:s3:::box/*", True),
    ],
)  # fmt: skip
def test_statement_names_actions_and_resources(
    elements: dict[str, Any], action: str, on: str, is_named: bool
) -> None:
    assert judged([{"Effect": "Allow", **elements}], action=action, on=on).is_allowed is is_named
    denied = [{**ALLOW, "Action": "*"}, {"Effect": "Deny", **elements}]
    assert judged(denied, action=action, on=on).is_allowed is not is_named


def test_variables_count_since_the_second_version_of_the_language() -> None:
    statement = {**ALLOW, "Resource": "arn:aws:s3:::box/${aws:PrincipalAccount}"}
    text, value = "arn:aws:s3:::box/${aws:PrincipalAccount}", f"arn:aws:s3:::box/{ACCOUNT}"
    assert judged([statement], on=value).is_allowed
    assert not judged([statement], on=value, version="2008-10-17").is_allowed
    assert judged([statement], on=text, version="2008-10-17").is_allowed


@pytest.mark.parametrize(
    ("named", "is_denied", "is_unknown"),
    [
        ({"AWS": [ROLE, ROOT]}, False, False),
        ({"AWS": [WHO.arn, ACCOUNT]}, False, False),
        ({"AWS": f"{ROLE}2"}, True, False),
        ("*", False, False),
        # Whether AWS then denies the role by its account depends on the service.
        ({"AWS": ROLE}, False, True),
    ],
)
def test_not_principal_denies_all_others(named: Any, is_denied: bool, is_unknown: bool) -> None:
    found = judged([ALLOW], resource=[{**DENY, "NotPrincipal": named}])
    assert (found.is_allowed, bool(found.unknown)) == (not is_denied, is_unknown)


ONE, TWO = {"s3_prefix": ["a"]}, {"s3_prefix": ["a", "b"]}
NONE: dict[str, list[str]] = {"s3_prefix": []}
NUMBER, DATE = {"s3_max-keys": ["10"]}, {"aws_currenttime": ["2026-03-01T00:00:00Z"]}
ARN = {"aws_sourcearn": ["arn:aws:sns:eu-west-1:1:topic"]}
IP = {"aws_vpcsourceip": ["10.0.7.9"]}


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "context", "is_met"),
    [
        ("StringEquals", "s3:Prefix", "a", ONE, True),
        ("StringEquals", "S3:PREFIX", ["b", "a"], ONE, True),
        ("StringEquals", "s3:prefix", "A", ONE, False),
        ("StringEquals", "s3:prefix", "?", ONE, False),
        ("StringEquals", "s3:prefix", "a", {}, False),
        ("StringNotEquals", "s3:prefix", "b", ONE, True),
        ("StringNotEquals", "s3:prefix", ["b", "a"], ONE, False),
        ("StringNotEquals", "s3:prefix", "a", {}, True),
        ("StringEqualsIgnoreCase", "s3:prefix", "A", ONE, True),
        ("StringNotEqualsIgnoreCase", "s3:prefix", "A", ONE, False),
        ("StringLike", "s3:prefix", "?", ONE, True),
        ("StringLike", "s3:prefix", "*b*", ONE, False),
        ("StringNotLike", "s3:prefix", "*b*", ONE, True),
        ("StringEquals", "aws:PrincipalAccount", "${aws:PrincipalAccount}", {}, True),
        ("StringEquals", "aws:PrincipalAccount", ACCOUNT, {}, True),
        ("NumericEquals", "s3:max-keys", "10.0", NUMBER, True),
        ("NumericNotEquals", "s3:max-keys", "10", NUMBER, False),
        ("NumericLessThan", "s3:max-keys", "10", NUMBER, False),
        ("NumericLessThanEquals", "s3:max-keys", "10", NUMBER, True),
        ("NumericGreaterThan", "s3:max-keys", "9", NUMBER, True),
        ("NumericGreaterThanEquals", "s3:max-keys", 11, NUMBER, False),
        ("NumericEquals", "s3:prefix", "1", ONE, False),
        ("DateLessThan", "aws:CurrentTime", "2026-03-02T00:00:00Z", DATE, True),
        ("DateGreaterThan", "aws:CurrentTime", "2026-03-02T00:00:00Z", DATE, False),
        ("DateEquals", "aws:CurrentTime", "2026-03-01T01:00:00+01:00", DATE, True),
        ("DateNotEquals", "aws:CurrentTime", "1772323200", DATE, False),
        ("DateLessThanEquals", "aws:CurrentTime", "2026-03-01", DATE, True),
        ("DateGreaterThanEquals", "aws:CurrentTime", "2026-03-01T00:00:01Z", DATE, False),
        ("Bool", "aws:SecureTransport", "true", {}, True),
        ("Bool", "aws:SecureTransport", False, {}, False),
        ("BinaryEquals", "s3:prefix", "a", ONE, True),
        ("IpAddress", "aws:VpcSourceIp", "10.0.0.0/16", IP, True),
        ("IpAddress", "aws:VpcSourceIp", ["10.1.0.0/16", "fd00::/8"], IP, False),
        ("NotIpAddress", "aws:VpcSourceIp", "10.0.0.0/16", IP, False),
        ("ArnEquals", "aws:SourceArn", "arn:aws:sns:*:1:topic", ARN, True),
        ("ArnLike", "aws:SourceArn", "arn:aws:sns:eu-west-1:1:*", ARN, True),
        ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:topic", ARN, False),
        ("ArnNotLike", "aws:SourceArn", "arn:aws:sns:eu-west-1:1:*", ARN, False),
        ("ArnNotEquals", "aws:SourceArn", "arn:aws:sns:eu-west-1:1:other", ARN, True),
        ("Null", "s3:prefix", "true", {}, True),
        ("Null", "s3:prefix", "true", ONE, False),
        ("Null", "s3:prefix", "false", ONE, True),
        ("StringEqualsIfExists", "s3:prefix", "a", {}, True),
        ("StringEqualsIfExists", "s3:prefix", "b", ONE, False),
        ("NumericLessThanIfExists", "s3:max-keys", "1", {}, True),
        ("ForAllValues:StringEquals", "s3:prefix", ["a", "b", "c"], TWO, True),
        ("ForAllValues:StringEquals", "s3:prefix", "a", TWO, False),
        ("ForAllValues:StringEquals", "s3:prefix", "a", NONE, True),
        ("ForAnyValue:StringEquals", "s3:prefix", "b", TWO, True),
        ("ForAnyValue:StringEquals", "s3:prefix", "c", TWO, False),
        ("ForAnyValue:StringEquals", "s3:prefix", "a", NONE, False),
        ("ForAnyValue:StringLike", "s3:prefix", "?", TWO, True),
        ("ForAllValues:StringNotEquals", "s3:prefix", "b", TWO, False),
        ("ForAnyValue:StringNotEquals", "s3:prefix", "b", TWO, True),
        ("ForAnyValue:StringNotEquals", "s3:prefix", "b", NONE, False),
    ],
)  # fmt: skip
def test_condition_operators(
    operator: str, key: str, wanted: Any, context: dict[str, Any], is_met: bool
) -> None:
    statement = {**ALLOW, "Condition": {operator: {key: wanted}}}
    found = judged([statement], **context)
    assert (found.is_allowed, found.unknown) == (is_met, ())


def test_all_conditions_have_to_be_met() -> None:
    both = {"StringEquals": {"s3:prefix": "a", "s3:delimiter": "/"}, "Bool": {"x:y": "true"}}
    given: dict[str, Any] = {"s3_prefix": ["a"], "s3_delimiter": ["/"], "x_y": ["true"]}
    assert judged([{**ALLOW, "Condition": both}], **given).is_allowed
    for key in given:
        assert not judged([{**ALLOW, "Condition": both}], **{**given, key: ["b"]}).is_allowed


FROM_HOME = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
TAGGED = {"StringEquals": {"aws:ResourceTag/team": "a"}}


@pytest.mark.parametrize("condition", [FROM_HOME, TAGGED, {"StringMatches": {"x:y": "a"}}])
def test_what_only_aws_knows_refuses_nothing_and_is_named(condition: dict[str, Any]) -> None:
    allow, deny = ({**each, "Sid": "Home", "Condition": condition} for each in (ALLOW, DENY))
    assert judged([allow]) == Verdict(True, unknown=(f"{IDENTITY}/Home",))
    assert judged([ALLOW, deny]) == Verdict(
        True, statement=f"{IDENTITY}/0", unknown=(f"{IDENTITY}/Home",)
    )
    assert judged([ALLOW], boundary=[allow]).unknown == (f"{BOUNDARY}/Home",)
    assert not judged([allow], boundary=[]).is_allowed
    assert not judged([{**allow, "Action": "s3:PutObject"}]).is_allowed


def test_unknown_resource_is_refused_only_where_nothing_allows_the_action() -> None:
    some = {**ALLOW, "Resource": "arn:aws:s3:::box/*"}
    assert judged([some], on=None).unknown == (f"{IDENTITY}/0",)
    assert judged([ALLOW], on=None) == Verdict(True, statement=f"{IDENTITY}/0")
    assert not judged([some], on=None, action="s3:PutObject").is_allowed
    assert judged([ALLOW, {**DENY, "Resource": "arn:aws:s3:::box/*"}], on=None).is_allowed
    assert not judged([ALLOW, DENY], on=None).is_allowed


@pytest.mark.parametrize(
    ("service", "account", "is_trusted"),
    [
        ("ecs-tasks.amazonaws.com", ACCOUNT, True),
        ("ecs-tasks.amazonaws.com", "210987654321", False),
        ("ec2.amazonaws.com", ACCOUNT, False),
    ],
)
def test_trust_names_the_service_and_for_whom(service: str, account: str, is_trusted: bool) -> None:
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    }
    found = judged(
        [], resource=[trust], action="sts:AssumeRole", on=ROLE, needs_resource=True,
        who=Principal(service=service), aws_sourceaccount=[account],
    )  # fmt: skip
    assert found.is_allowed is is_trusted
