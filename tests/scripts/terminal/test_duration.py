"""Durations as they are typed and shown."""

from datetime import timedelta

import pytest

from scripts.terminal.duration import in_words, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), (" 2H ", 7200)],
)
def test_it_is_read_as_it_is_typed(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "0s", "1.5h", "2 h", "30m1h", "9999999999d"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"),
        (5400, "1 h 30 min"), (86400, "1 d"), (90000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_it_is_shown_by_its_greatest_units(seconds: int, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words
