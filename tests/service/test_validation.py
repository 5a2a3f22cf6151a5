"""The explanation that a caller gets when a value does not fit its type."""

from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from service.validation import explain


class Size(Enum):
    SMALL = 1
    LARGE = 2


Colour = Annotated[str, Meta(pattern="^#[0-9a-f]{6}$", description="a colour such as #ff8800")]
Plain = Annotated[str, Meta(pattern="^x$")]


class Line(msgspec.Struct):
    size: Size | None = None
    colour: Colour | None = None
    plain: Plain = "x"


class Order(msgspec.Struct):
    lines: list[Line] = []
    by_name: dict[str, Line] = {}
    pair: tuple[int, Literal["up", "down"]] = (1, "up")


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"lines": [{}, {"size": 3}]}, "Invalid enum value 3; allowed: 1, 2"),
        ({"lines": [{"colour": "red"}]}, "Expected a colour such as #ff8800"),
        ({"by_name": {"a": {"colour": "red"}}}, "Expected a colour such as #ff8800"),
        ({"pair": [1, "left"]}, "Invalid enum value 'left'; allowed: 'down', 'up'"),
        ({"lines": [{"plain": "y"}]}, "Expected `str` matching regex '^x$'"),
        ({"lines": 5}, "Expected `array`, got `int`"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(order: Any, words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(order, Order)
    reason, _, path = str(raised.value).partition(" - at `$.")
    assert explain(reason, path.rstrip("`"), Order) == words


def test_a_type_that_msgspec_has_not_keeps_its_reason() -> None:
    reason = "Invalid enum value 'a'"
    assert explain(reason, "", complex | int) == reason
