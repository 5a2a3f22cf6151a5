"""What is told of rights that the local twin has refused, and of those that nobody used."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scripts.doctor.model import Role, Statement
from scripts.doctor.used_rights import used_rights
from scripts.status.health import warn_of_iam
from scripts.twin.client.permissions import (
    ALLOWED,
    NOT_JUDGED,
    REFUSED,
    Entry,
    ledger_file,
    read_entries,
    switch,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BUCKET = "arn:aws:s3:::box/"


def entry(action: str = "s3:PutObject", result: str = ALLOWED, **given: Any) -> Entry:
    usual = {
        "at": NOW.timestamp(),
        "role": "worker",
        "resource": f"{BUCKET}results/1",
        "why": "own",
    }
    return Entry(**{**usual, **given, "action": action, "result": result})


def test_a_granted_action_is_used_where_a_call_was_among_its_resources() -> None:
    role = Role(
        name="worker",
        statements=(
            Statement(actions=("s3:Get*", "s3:PutObject"), resources=(f"{BUCKET}results/*",)),
            Statement(actions=("s3:PutObject",), resources=(f"{BUCKET}payloads/*",)),
            Statement(actions=("sqs:*",), resources=("*",)),
        ),
    )
    entries = [
        entry(),
        entry(),
        entry("s3:DeleteObject", REFUSED),
        entry("sqs:Sendmessage", NOT_JUDGED, resource="?"),
        entry(role="cdk-deploys"),
    ]

    (found,) = used_rights(entries, {"worker": role})

    assert found.used == (entry(),)
    assert [each.action for each in found.refused] == ["s3:DeleteObject"]
    assert [each.action for each in found.not_judged] == ["sqs:Sendmessage"]
    assert found.unused == (
        ("s3:Get*", (f"{BUCKET}results/*",)), ("s3:PutObject", (f"{BUCKET}payloads/*",)),
    )  # fmt: skip


def test_status_names_the_refusals_of_late_each_once_and_that_iam_is_off(tmp_path: Path) -> None:
    assert list(warn_of_iam(tmp_path, NOW)) == []
    old = NOW - timedelta(minutes=16)
    noted = [
        entry("s3:GetObject", REFUSED, at=old.timestamp()),
        entry("s3:PutObject", REFUSED),
        entry("s3:PutObject", REFUSED, resource=f"{BUCKET}results/2"),
        entry("kms:Decrypt", REFUSED, resource="?", via="s3.us-east-1.amazonaws.com"),
        entry(why="with an explicit deny in a resource-based policy", result=REFUSED, role="api"),
        entry("s3:ListBucket"),
    ]
    ledger_file(tmp_path).parent.mkdir()
    ledger_file(tmp_path).write_text("".join(json.dumps(vars(each)) + "\n" for each in noted))

    found = list(warn_of_iam(tmp_path, NOW))

    assert read_entries(tmp_path) == noted
    assert [each.split(" (")[0] for each in found] == [
        f"IAM refused worker: s3:PutObject on {BUCKET}results/2",
        "IAM refused worker: kms:Decrypt",
        f"IAM refused api: s3:PutObject on {BUCKET}results/1",
    ]
    assert json.loads(found[1].partition("add ")[2]) == {
        "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
        "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
    }  # fmt: skip
    assert found[2].endswith("a statement denies it")

    switch(tmp_path, is_on=False)
    assert next(iter(warn_of_iam(tmp_path, NOW))).startswith("IAM is off")
    switch(tmp_path, is_on=True)
    assert list(warn_of_iam(tmp_path, NOW)) == found
