"""Which names hide their values, and that no value is too much."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import redact
from service.redact import HIDDEN, Names, copied, redacted, redacted_text, without_secrets

HIDDEN_NAMES = """
password db_password userPassword password2 password_confirmation passwordHash PGPASSWORD passwd
passphrase pwd secret client_secret STRIPE_SECRET clientSecret AWS_SECRET_ACCESS_KEY SecretString
secrets token access_token accessToken X-Auth-Token csrfToken refreshTokens id_token jwt X-Api-Key
apiKey APIKey apikey api_keys private_key privateKey signing-key auth Authorization credentials
Proxy-Authorization cookie Set-Cookie connect.sid sessionid otp ssn cvv cardNumber card-number
credit_card
"""
SHOWN_NAMES = """
token_count max_tokens tokens tokenizer keyboard monkey key keys job_key task_key primary_key
group_key idempotency_key public_key s3_key author authored_by authority secretary secret_arn
session email card pin passenger passed compass design signal cookies_enabled aws_access_key_id
task name id url
"""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.fixture
def named() -> Iterator[Any]:
    """Sets the names of this process for one test."""
    yield redact.configure
    redact.configure(redact.DEFAULT)


@pytest.mark.parametrize("name", HIDDEN_NAMES.split())
def test_a_secret_s_name_hides_it_at_any_depth(name: str) -> None:
    for value in ("x", "", 7, 1.5, ["x"], {"user": "x"}):
        shown = redacted({"a": [{"b": ({name: value},)}], "n": 1})
        assert shown == {"a": [{"b": [{name: HIDDEN}]}], "n": 1}


@pytest.mark.parametrize("name", SHOWN_NAMES.split())
def test_another_name_hides_nothing(name: str) -> None:
    value = {name: {"n": [1, "x"]}}
    assert redacted(value) == value


@pytest.mark.parametrize("value", [None, True, False])
def test_what_is_no_secret_is_shown(value: object) -> None:
    assert redacted({"token": value}) == {"token": value}


@pytest.mark.parametrize(
    ("told", "hidden", "shown"),
    [
        ("default, IBAN", ["iban", "user_iban", "password"], ["iban_country"]),
        ("iban,*pin*", ["iban", "pin_code", "opinion"], ["password"]),
        ("default,-token,-*_cookie", ["password"], ["access_token", "my_cookie"]),
        ("off", [], ["password"]),
    ],
)
def test_names_are_added_replaced_and_taken_away(
    told: str, hidden: list[str], shown: list[str]
) -> None:
    names = Names(told)
    assert [name for name in (*hidden, *shown) if names.hide(name)] == hidden


@pytest.mark.parametrize(
    "told", ["", " ,", "off,iban", "default,off", "a b", "x[yz]", "*", "-", "é"]
)
def test_a_wrong_setting_is_refused_in_a_sentence(told: str) -> None:
    with pytest.raises(ValueError, match=r"must be off alone|is no pattern of names"):
        Names(told)


def test_switched_off_everything_is_shown(named: Any) -> None:
    named("off")
    value = {"password": "x", "url": "https://u:p@h"}
    assert redacted(value) == value
    assert without_secrets("of x", value) == "of x"


@given(JSON)
def test_any_json_is_copied_and_nothing_else_is_hidden(value: Any) -> None:
    before = repr(value)
    shown = redacted({"password": value, "inner": [value]})
    assert repr(value) == before
    assert shown["password"] in (HIDDEN, None, True, False)
    assert redacted(shown) == shown or "nan" in repr(shown)


@given(JSON, st.text("abcXYZ'\"\\\n é", min_size=8).map(lambda text: f"é-{text}-é"))
def test_a_secret_is_in_nothing_that_is_shown(value: Any, secret: str) -> None:
    shown = redacted(
        [{"outer": value, "apiToken": [secret, {"x": secret}]}, {"a": {"pwd": secret}}]
    )
    assert secret not in repr(shown)
    payload = {"fields": [{"password": secret}]}
    for text in (f"wrong: {secret}", f"wrong: {secret!r} {payload}", json.dumps(payload)):
        shown_text = without_secrets(text, payload)
        for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]):
            assert form not in shown_text


@pytest.mark.parametrize("kind", ["lists", "objects", "both"])
def test_a_value_that_is_deeper_than_the_stack_is_copied(kind: str) -> None:
    deep: Any = {"password": "x"}
    for level in range(50_000):
        deep = [deep] if kind == "lists" or (kind == "both" and level % 2) else {"a": deep}
    shown = redacted(deep)
    for _ in range(50_000):
        (shown,) = shown if isinstance(shown, list) else shown.values()
    assert shown == {"password": HIDDEN}
    assert without_secrets("is xyz-secret", [deep, {"token": "xyz-secret"}]) == "is [hidden]"


def test_a_value_that_holds_itself_has_an_end() -> None:
    endless: list[Any] = []
    endless += [endless, endless]
    redacted(endless)
    assert without_secrets("text", endless) == "text"


def test_the_most_that_a_result_can_hold_is_copied_whole() -> None:
    value: list[Any] = [[] for _ in range(350_000)]
    assert HIDDEN not in redacted(value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://app:hunter2@db:5432/x", "postgresql://app:[hidden]@db:5432/x"),
        ("redis://:p@ss@h, amqp://a:b@h!", "redis://:[hidden]@h, amqp://a:[hidden]@h!"),
        ("https://x/?page=2&api_key=abc&n=1", "https://x/?page=2&api_key=[hidden]&n=1"),
        ("https://x/?X-Amz-Signature=ab#c", "https://x/?X-Amz-Signature=[hidden]#c"),
        ("http://[::1]:80/a@b http://host:80/ x@y", "http://[::1]:80/a@b http://host:80/ x@y"),
        ("a: b@c", "a: b@c"),
    ],
)
def test_an_address_in_a_text_loses_its_password(text: str, shown: str) -> None:
    assert redacted_text(text) == shown
    assert json.loads(json.dumps(redacted({"url": text, "l": [text]}))) == {
        "url": shown, "l": [shown],
    }  # fmt: skip


def test_what_is_copied_from_what_is_shown_is_found() -> None:
    value = {"a": [{"b": 1}, {"token": ["x"]}], "note": HIDDEN}
    assert copied(value) is None
    assert copied(redacted(value)) == "payload.a[1].token"


def test_a_text_of_too_many_secrets_is_not_shown() -> None:
    payload = {"tokens": [{"token": f"token-{number}"} for number in range(2000)]}
    assert without_secrets("some of them", payload) == HIDDEN


def test_a_short_secret_changes_no_text() -> None:
    assert without_secrets("line 12", {"otp": 12, "pin": 1234}) == "line 12"
