"""The filter of the jobs page, as it stands in the address."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

from service.queue.job_filter import FILTERS


def words_of(query: str) -> dict[str, Any]:
    """The words of a filter in a query such as `status=failed&payload=user.id%3D7`.

    An empty field says nothing, and other parameters are none of the filter.
    """
    pairs = [(name, value.strip()) for name, value in parse_qsl(query) if name in FILTERS]
    words: dict[str, Any] = {name: value for name, value in pairs if value}
    if "payload" in words:
        words["payload"] = [value for name, value in pairs if name == "payload" and value]
    return words


def query_of(words: dict[str, Any], **more: Any) -> str:
    """The query with these words."""
    return urlencode(words | more, doseq=True)
