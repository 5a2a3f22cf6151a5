"""Texts of errors, addresses and statements without passwords, tokens, keys and values of rows."""

import re
from typing import Any

from service.redact import HIDDEN, redacted_text, without_secrets

DETAIL = re.compile(r"\n\s*(DETAIL|HINT):.*", re.DOTALL)  # Postgres quotes the row there
# The path of an address, and a part of it that may be a token: hooks of Slack and bots of Telegram
# have theirs there.
PATH = re.compile(r"(://[^\s/?#'\"<>]{1,253})(/[^\s?#'\"<>]{1,2000})")
TOKEN = re.compile(r"(?<=/)(?=[^/]*[0-9A-Z])[^/]{20,}")
LITERAL = re.compile(
    r"'(?:[^']|'')*'|(\$\w*\$).*?\1|(?<![\w$.\"])\d+(?:\.\d+)?(?![\w\"])", re.DOTALL
)


def shown_text(text: str, payload: Any = None) -> str:
    """An error's text, or an address, without the secrets of `payload` and of addresses."""
    text = DETAIL.sub("", text)
    text = redacted_text(text) if payload is None else without_secrets(text, payload)
    return PATH.sub(_without_tokens, text) if "://" in text else text


def statement_text(text: str) -> str:
    """A statement with `?` for each value that stands in its text; parameters are not in it."""
    return LITERAL.sub("?", text)


def _without_tokens(found: re.Match[str]) -> str:
    return found[1] + TOKEN.sub(HIDDEN, found[2])
