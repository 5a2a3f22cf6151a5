"""Texts of errors and statements without passwords, tokens, keys and values of rows."""

import re
from typing import Any

from service.redact import redacted_text, without_secrets

DETAIL = re.compile(r"\n\s*(DETAIL|HINT):.*", re.DOTALL)  # Postgres quotes the row there
LITERAL = re.compile(r"'(?:[^']|'')*'|(\$\w*\$).*?\1", re.DOTALL)


def error_text(text: str, payload: Any = None) -> str:
    """An error's text without the secrets of `payload`."""
    text = DETAIL.sub("", text)
    return redacted_text(text) if payload is None else without_secrets(text, payload)


def statement_text(text: str) -> str:
    """A statement with `'?'` for each value that stands in its text; parameters are not in it."""
    return LITERAL.sub("'?'", text)
