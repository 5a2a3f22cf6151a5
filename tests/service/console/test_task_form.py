"""The form of a task: a field for each parameter, and what becomes of what somebody types."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from service.console.task_form import Field, fields_of, read_form
from service.problem import InvalidFieldError
from service.queue import Context, Registry
from service.queue.tasks.enqueue import build_job

registry = Registry()


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


@registry.task
async def bake(
    ctx: Context,
    *,
    name: str,
    count: Annotated[int, msgspec.Meta(ge=1)],
    size: Size,
    tags: list[str],
    when: datetime | None = None,
    price: float = 1.5,
    fast: bool = False,
    crust: Literal["thin", "thick"] = "thin",
    note: str | None = None,
) -> None:
    pass


TASK = registry.get("bake")
FILLED = {"name": "7", "count": "3", "size": "large", "tags": '["a", "7"]'}


def read(**given: str) -> dict[str, Any]:
    return read_form(TASK, {f"field.{name}": text for name, text in (FILLED | given).items()})


def test_each_parameter_is_a_field_of_its_kind() -> None:
    assert fields_of(TASK) == [
        Field("name", "text", True, False, ""),
        Field("count", "number", True, False, ""),
        Field("size", "text", True, False, "", ("small", "large")),
        Field("tags", "json", True, False, ""),
        Field("when", "text", False, True, "2026-11-28T10:00:00Z"),
        Field("price", "number", False, False, "1.5"),
        Field("fast", "choice", False, False, "false", ("true", "false")),
        Field("crust", "text", False, False, "thin", ("thick", "thin")),
        Field("note", "text", False, True, "null"),
    ]


@pytest.mark.parametrize(
    ("given", "payload"),
    [
        ({}, {}),
        ({"price": "2", "fast": "true"}, {"price": 2, "fast": True}),
        ({"when": "2026-11-28T10:00:00Z"}, {"when": "2026-11-28T10:00:00Z"}),
        ({"crust": "thick", "note": "true"}, {"crust": "thick", "note": "true"}),
    ],
)
def test_what_is_typed_becomes_the_payload(
    given: Mapping[str, str], payload: dict[str, Any]
) -> None:
    wanted = {"name": "7", "count": 3, "size": "large", "tags": ["a", "7"]} | payload
    assert read(**given) == wanted
    assert wanted.items() <= (build_job(registry, "bake", read(**given)).kwargs or {}).items()


def test_wrong_values_name_the_field() -> None:
    with pytest.raises(InvalidFieldError, match=r"payload\.tags: is no JSON"):
        read(tags="[a")
    for given, sentence in (
        ({"count": "many"}, "count.*Expected `int`"),
        ({"count": "0"}, "count.*>= 1"),
        ({"size": "huge"}, "size.*huge"),
        ({"when": "noon"}, "when"),
    ):
        with pytest.raises(Exception, match=sentence):
            build_job(registry, "bake", read(**given))
