"""Hides passwords, tokens and keys in what is shown: by the API, the job pages, the logs.

A value is hidden by its name, such as `password`. What is stored, and what a task gets, stays as it
is. `REDACT_NAMES` says which names; it holds for the whole process.

The default names are those that Sentry's SDK for Python scrubs (`DEFAULT_DENYLIST` in
`sentry_sdk/scrubber.py`) and a new Rails application filters
(`config/initializers/filter_parameter_logging.rb`), but for those that would hide what a job is
about: e-mail and IP addresses, `session`, `salt`, and every name that ends in `_key`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

HIDDEN = "[hidden]"
DEFAULT = "default"
OFF = "off"
# A pattern is the words at the end of a name; `*` is any characters.
DEFAULT_NAMES = (
    "*password*", "*passwd*", "*passphrase*", "*passcode", "pwd", "db_pass", "smtp_pass",
    "*secret", "*secrets", "*secret_key*", "secret_access_key", "secret_string", "secret_value",
    "*token", "access_tokens", "api_tokens", "auth_tokens", "refresh_tokens", "jwt", "csrf", "xsrf",
    "api_key", "api_keys", "*apikey", "*apikeys", "access_key", "account_key", "auth_key",
    "encryption_key", "master_key", "private_key", "private_key_pem", "*privatekey", "session_key",
    "shared_key", "signing_key", "ssh_key",
    "auth", "authorization", "bearer", "credential", "credentials", "cookie", "cookies",
    "session_id", "sessionid", "phpsessid", "connect_sid", "x_amz_signature", "sig",
    "otp", "ssn", "social_security_number", "cvv", "cvv2", "cvc", "card_number", "cardnumber",
    "credit_card", "creditcard", "credit_card_number",
)  # fmt: skip
PATTERN = re.compile(r"-?[a-z0-9*]+(_[a-z0-9*]+)*")

# A result may hold 350,000 lists (1 MiB of JSON); what holds itself has no end.
NODES_MAX = 500_000
NAME_MAX_CHARACTERS = 200
# A shorter one is in too many texts by chance: without it, a text would tell what the secret is.
SECRET_MIN_CHARACTERS = 4
SECRETS_MAX = 1000

# A password in `scheme://user:password@host`, and a parameter. Bounded, so that no text takes long.
URL_PASSWORD = re.compile(r"(://[^\s/?#:@\"<>]{0,200}:)[^\s/?#\"<>]{1,400}@")
URL_PARAMETER = re.compile(r"(?<=[?&])([^\s?&=#\"<>]{1,100})=([^\s&#\"<>]+)")
# Where a word of a name begins: `apiKey`, `APIKey`, `X-Api-Key`, `api key`.
WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")


class Names:
    """The names whose values are hidden.

    default               those of the list above; also where nothing is said
    default,iban,-cookie  those, and names that end in `iban`, but not names that end in `cookie`
    iban,*password*       these alone
    off                   none
    """

    def __init__(self, told: str = DEFAULT) -> None:
        """Raises `ValueError` with a sentence that says what is wrong."""
        parts = [part for each in told.split(",") if (part := each.strip().lower())]
        self.is_off = parts == [OFF]
        if not parts or (OFF in parts and not self.is_off):
            raise ValueError(f"must be {OFF} alone, or patterns of names, such as {DEFAULT},iban")
        for part in parts:
            if not PATTERN.fullmatch(part) or not part.strip("-*_"):
                raise ValueError(
                    f"{part!r} is no pattern of names: words of a-z and 0-9 with _ between, * for "
                    "any characters, and - before it to show what it matches"
                )
        hidden = [part for part in parts if part[0] != "-" and part != DEFAULT]
        if DEFAULT in parts:
            hidden += DEFAULT_NAMES
        self._hidden = _compiled(() if self.is_off else hidden)
        self._shown = _compiled(part[1:] for part in parts if part[0] == "-")
        # for names of at most NAME_MAX_CHARACTERS, so that it does not grow
        self.matches = lru_cache(maxsize=4096)(self._matches)

    def hide(self, name: object) -> bool:
        """Is the value of that name hidden?"""
        return isinstance(name, str) and self.matches(name[-NAME_MAX_CHARACTERS:])

    def _matches(self, name: str) -> bool:
        words = WORDS.sub("_", name).strip("_").lower()
        return bool(self._hidden.search(words)) and not self._shown.search(words)


def _compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    found = "|".join(re.escape(each).replace(r"\*", ".*") for each in patterns)
    return re.compile(rf"(?:^|_)(?:{found})$" if found else r"(?!)")


_names = Names()


def configure(names: str) -> None:
    """Set the names for this process: the value of `REDACT_NAMES`. Raises what `Names` raises."""
    global _names  # noqa: PLW0603 - one for the process, as its logs
    _names = Names(names)


def name_check() -> Callable[[str], bool]:
    """What says of a name of at most `NAME_MAX_CHARACTERS` whether its value is hidden."""
    return _names.matches


def redacted(value: Any) -> Any:
    """A copy of a JSON value with `[hidden]` under each hidden name, at any depth.

    Passwords in addresses are hidden too. `null`, `true` and `false` are never a secret.
    """
    if _names.is_off:
        return value
    hide, nodes = _names.hide, 0
    top = [value]
    todo: list[Any] = [top]  # without recursion: a value may be deeper than Python's stack
    while todo:
        made = todo.pop()
        nodes += 1
        for at, inner in made.items() if isinstance(made, dict) else enumerate(made):
            if inner is None or isinstance(inner, bool):
                continue
            if hide(at):
                made[at] = HIDDEN
            elif isinstance(inner, str):
                made[at] = redacted_text(inner)
            elif isinstance(inner, dict | list | tuple):
                if nodes + len(todo) >= NODES_MAX:
                    made[at] = HIDDEN
                    continue
                made[at] = copied = dict(inner) if isinstance(inner, dict) else list(inner)
                todo.append(copied)
    return top[0]


def redacted_text(text: str) -> str:
    """The text with `[hidden]` for passwords and tokens in the addresses that it holds."""
    if "://" not in text or _names.is_off:
        return text
    text = URL_PASSWORD.sub(rf"\1{HIDDEN}@", text)
    return URL_PARAMETER.sub(_parameter, text)


def _parameter(found: re.Match[str]) -> str:
    return f"{found[1]}={HIDDEN}" if _names.hide(found[1]) else found[0]


def without_secrets(text: str, payload: Any) -> str:
    """The text with `[hidden]` for each value of `payload` that has a hidden name.

    For an error that may quote its payload. What stays is a secret of fewer than 4 characters, and
    one that the text does not hold as it is, nor as Python or JSON write it.
    """
    if not (secrets := _secrets(payload)):
        return redacted_text(text)
    if len(secrets) > SECRETS_MAX:
        return HIDDEN
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return redacted_text(text)


def copied(payload: Any) -> str | None:
    """The path of the first `[hidden]` in the place of a secret: somebody copied what is shown."""
    # Iterators, because a list of all that is still to do would be larger than the payload.
    path, walks = ["payload"], [_inner(payload)]
    while walks:
        if (step := next(walks[-1], None)) is None:
            walks.pop()
            path.pop()
            continue
        name, value = step
        part = f".{name}" if isinstance(name, str) else f"[{name}]"
        if isinstance(name, str) and value == HIDDEN and _names.hide(name):
            return "".join(path) + part
        if isinstance(value, dict | list | tuple):
            path.append(part)
            walks.append(_inner(value))
    return None


def _inner(value: Any) -> Iterator[tuple[Any, Any]]:
    """Names or positions in the value, with what is there."""
    if isinstance(value, dict):
        return iter(value.items())
    return enumerate(value) if isinstance(value, list | tuple) else iter(())


def _secrets(payload: Any) -> set[str]:
    """The texts and numbers under hidden names, each in all its forms."""
    found: set[str] = set()
    walks, nodes = [iter([(payload, False)])], 0
    while walks and nodes < NODES_MAX and len(found) <= SECRETS_MAX:
        if (step := next(walks[-1], None)) is None:
            walks.pop()
            continue
        value, is_secret = step
        nodes += 1
        if isinstance(value, dict | list | tuple):
            walks.append(_marked(value, is_secret))
        elif is_secret and isinstance(value, str | int | float) and not isinstance(value, bool):
            written = str(value)
            if len(written) >= SECRET_MIN_CHARACTERS:
                found |= {written, repr(written)[1:-1], json.dumps(written)[1:-1]}
    return found


def _marked(value: Any, is_secret: bool) -> Iterator[tuple[Any, bool]]:
    """What is in the value, and whether it stands under a hidden name."""
    for name, inner in _inner(value):
        yield inner, is_secret or (isinstance(name, str) and _names.hide(name))
