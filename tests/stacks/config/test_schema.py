"""What an editor says of stages.toml is what `cdk synth` says of it."""

import tomllib
from typing import Any

import pytest
from jsonschema import Draft7Validator

from stacks.config.read_stage import nested
from stacks.config.schema import NOT_IN_FILE, as_json, describe_keys, schema
from stacks.config.stage import CONFIGURABLE
from stacks.config.stages_file import STAGES_FILE
from tests.conftest import ROOT
from tests.generated import COMMAND, written
from tests.stacks.config.keys import tables
from tests.stacks.config.test_keys import RIGHT, WRONG
from tests.stacks.templates import FILE

VALIDATOR = Draft7Validator(schema())
# What no pattern says in every editor: `cdk synth` refuses it.
ONLY_SYNTH = {"alarm_email", "email_from", "vpc_cidr"}


def refused(file: dict[str, Any]) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(file)]


def as_in_file(key: str, value: object) -> list[dict[str, Any]]:
    """A stage with the key, by both its names."""
    section, dot, inner = nested(key).partition(".")
    return [{"dev": {key: value}}, {"dev": {section: {inner: value}} if dot else {key: value}}]


def test_schema_is_that_of_today() -> None:
    Draft7Validator.check_schema(schema())
    assert (ROOT / "stages.schema.json").read_text() == as_json(), COMMAND


def test_the_page_lists_every_key() -> None:
    assert written("docs/stages.md") == tables(), COMMAND


@pytest.mark.parametrize("file", [STAGES_FILE, FILE])
def test_stages_as_they_come_are_valid(file: Any) -> None:
    assert refused(tomllib.loads(file.read_text())) == []


@pytest.mark.parametrize("key", sorted(set(CONFIGURABLE) - {*NOT_IN_FILE}))
def test_a_right_value_is_valid_and_a_wrong_one_is_not(key: str) -> None:
    is_text = CONFIGURABLE[key].metadata["kind"] in ("text", "network")
    for value in RIGHT.get(key, []):
        if is_text or not isinstance(value, str):  # a number as text is for the command line
            assert [refused(file) for file in as_in_file(key, value)] == [[]] * 2, value
    for value in WRONG.get(key, []):
        if key not in ONLY_SYNTH and "\n" not in str(value):  # to Python `$` is before it, too
            assert all(refused(file) for file in as_in_file(key, value)), value


@pytest.mark.parametrize(
    "file",
    [
        {"dev": {"colour": "red"}},
        {"dev": {"worker": {"colour": "red"}}},
        {"colour": "red"},
        {"worker": {"max_cont": 3}},
        {"dev": {"first_deploy": True}},
        {"dev": {"extends": 3}},
        {"secrets": "STRIPE_KEY"},
        {"secrets": ["stripe"]},
        {"secrets": ["A", "A"]},
        {"dev": {"secrets": {"A": "sk_live_1"}}},
        {"dev": {"secrets": {"A": "ssm:/a#b"}}},
        {"dev": {"worker": {"secrets": {"a": ""}}}},
        {"dev": {"network": {"secrets": ["A"]}}},
        {"workers": {"reports": {"max_cont": 3}}},
        {"workers": {"reports": {"queues": []}}},
        {"workers": {"reports": {"queues": {"mail": 0}}}},
        {"dev": {"workers": {"Reports": {"queues": ["mail"]}}}},
        {"dev": {"workers": {"reports": True}}},
    ],
)
def test_an_unknown_key_is_invalid(file: dict[str, Any]) -> None:
    assert refused(file)


@pytest.mark.parametrize(
    "secrets",
    [
        ["STRIPE_KEY", "A1"],
        {"A": ""},
        {"A": "secretsmanager:shared/stripe#key", "B": "ssm:/shared/smtp"},
        {"A": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:team/x-AbCdEf#pw"},
    ],
)
def test_secrets_are_valid_wherever_they_may_stand(secrets: object) -> None:
    for file in (
        {"secrets": secrets},
        {"worker": {"secrets": secrets}},
        {"dev": {"secrets": secrets, "api": {"secrets": secrets}}},
    ):
        assert refused(file) == []


def test_pools_are_valid() -> None:
    pool = {"queues": {"reports": 3, "mail": 1}, "max_count": 2, "env": {"ROWS": 5}}
    file = {"workers": {"reports": pool}, "dev": {"workers": {"reports": False}}}
    assert refused(file | {"prod": {"worker": {"queues": ["default", "mail"]}}}) == []


def test_every_key_says_what_it_is() -> None:
    described = describe_keys()
    assert set(described) == set(CONFIGURABLE)
    assert [key for key, text in described.items() if not text.endswith(".")] == []
