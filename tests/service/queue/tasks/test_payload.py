"""What a payload may hold: the task gets it unchanged, or it is refused at enqueue."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from saq import Job

from service.queue.errors import InvalidPayloadError
from service.queue.tasks.enqueue import build_job, check_job, job_from_call
from service.queue.tasks.registry import Registry

AWARE = dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=14)))


def registry_of(kind: Any) -> Registry:
    """One task whose field `value` is of that type."""

    async def task(ctx: Any, value: Any) -> None: ...

    task.__annotations__["value"] = kind
    registry = Registry()
    registry.task(name="task")(task)
    return registry


def itself(kind: type) -> Any:
    """A list, or a dictionary, that holds itself."""
    made = kind()
    made.append(made) if kind is list else made.update(a=made)
    return made


DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("kind", "value", "field", "says"),
    [
        (float, math.nan, "value", "is nan, which JSON cannot hold"),
        (float, math.inf, "value", "is inf, which"),
        (float | None, -math.inf, "value", "is -inf, which"),
        (list[float], [1.0, math.nan], r"value\[1\]", "is nan"),
        (dict[str, float], {"a": math.inf}, "value.a", "is inf"),
        (Any, {"a": [{"b": math.nan}]}, r"value.a\[0\].b", "is nan"),
        (str, "\ud800", "value", "half of a surrogate pair"),
        (Any, {"\udfff": 1}, "value", "half of a surrogate pair"),
        (Any, itself(list), "value", "holds itself"),
        (Any, itself(dict), "value", "holds itself"),
        (Any, DEEP, "value", "nested too deeply"),
        (Any, object(), "value", "cannot be stored as JSON"),
        (Any, 1j, "value", "cannot be stored as JSON"),
        (Any, {(1, 2): 3}, "value", "cannot be stored as JSON"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_its_field(
    kind: Any, value: Any, field: str, says: str
) -> None:
    registry = registry_of(kind)
    refused = pytest.raises(InvalidPayloadError, match=rf"payload\.{field}: .*{says}")
    with refused:
        build_job(registry, "task", {"value": value})
    with refused:
        job_from_call(registry, "task", {"value": value})
    with refused:
        check_job(registry, Job("task", kwargs={"value": value}))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (float, -0.0),
        (float, 1e308),
        (int, 2**64),
        (int, -(2**63) - 1),
        (int, 10**400),
        (Any, 2**100 + 1),
        (str, "\0\u2028\x7f"),
        (bytes, b"\xff\0"),
        (set[int], {1, 2}),
        (tuple[int, str], (1, "a")),
        (dt.datetime, dt.datetime(2026, 1, 1)),  # noqa: DTZ001
        (dt.datetime, AWARE),
        (dt.timedelta, dt.timedelta(days=999_999, microseconds=1)),
        (Decimal, Decimal("1.10")),
        (Decimal, Decimal("Infinity")),
        (dict[int, str], {2**70: "x"}),
        (dict[float, int], {1.5: 1}),
        (list[float | None], [None, 1.0]),
        (Any, {"a": None, "b": [None]}),
    ],
)
def test_what_is_let_through_comes_out_as_it_went_in(kind: Any, value: Any) -> None:

    registry = registry_of(kind)
    kwargs = build_job(registry, "task", {"value": value}).kwargs
    found = registry.get("task").decode(msgspec.json.decode(msgspec.json.encode(kwargs)))
    assert found == {"value": value}
    assert type(found["value"]) is type(value)
    assert math.copysign(1, found["value"]) == -1 if value == 0 else True


@pytest.mark.parametrize(
    ("kind", "default", "says"),
    [
        (int, None, "Expected `int`, got `null`"),
        (str, 7, "Expected `str`, got `int`"),
        (int | None, "many", "got `str`"),
    ],
)
def test_a_default_that_its_annotation_refuses_is_refused_when_enqueued(
    kind: Any, default: Any, says: str
) -> None:
    async def task(ctx: Any, value: Any = default) -> None: ...

    task.__annotations__["value"] = kind
    registry = Registry()
    registry.task(name="task")(task)
    with pytest.raises(InvalidPayloadError, match="does not survive JSON") as raised:
        build_job(registry, "task", {})
    assert says in raised.value.reason


@pytest.mark.parametrize(
    ("kind", "is_flat"),
    [
        (int, True), (str | None, True), (list[int], False), (dict[str, int], False), (Any, False),
        (dt.datetime, False), (Decimal, False),
    ],
)  # fmt: skip
def test_a_payload_of_scalars_alone_is_flat(kind: Any, is_flat: bool) -> None:
    assert registry_of(kind).get("task").is_flat is is_flat
