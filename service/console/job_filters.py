"""The filter of the jobs page, as it stands in the address."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from service.queue.errors import InvalidOptionError
from service.queue.job_filter import FILTERS, JobFilter, PayloadField
from service.queue.tasks.registry import Registry

PATHS_MAX = 200


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


def payload_starts(registry: Registry, task: str) -> list[str]:
    """`user_id=` and the like: the fields that payloads of a task have, or of any where it is none.

    Without those that are hidden, and so cannot be looked for.
    """
    tasks = [registry.tasks[task]] if task in registry.tasks else registry.tasks.values()
    names = {
        field.encode_name
        for each in tasks
        for field in msgspec.structs.fields(each.payload_type)
        if _can_be_asked(field.encode_name)
    }
    return [f"{name}=" for name in sorted(names)][:PATHS_MAX]


def _can_be_asked(name: str) -> bool:
    try:
        JobFilter(payload=(PayloadField(path=name, value="x"),))
    except InvalidOptionError:
        return False
    return True
