"""The cause of an error is what stays of its last line without the values."""

from datetime import UTC, datetime, timedelta

import pytest

from service.queue.causes import Line, cause_of, group

AT = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("KeyError: 'user 7'", "KeyError: …"),
        ('ValueError: "a" is no b', "ValueError: … is no b"),
        ("TimeoutError: took 1.5 s at 12:30:11", "TimeoutError: took … s at …"),
        ("x: 123e4567-e89b-12d3-a456-426614174000 gone", "x: … gone"),
        ("<Thing at 0x7F00ab>", "<Thing at …>"),
        ("commit deadbeefcafe12", "commit …"),
        ("a decade of facades effaced", "a decade of facades effaced"),
        ("it isn't there, they're not", "it isn't there, they're not"),
        ("OSError: amqp://app:hunter2@db/x", "OSError: amqp://app:…@db/x"),
        ("", "no error is recorded"),
        ("x" * 500, "x" * 200),
    ],
)
def test_values_are_left_out(line: str, cause: str) -> None:
    assert cause_of(line) == cause


def line(text: str, number: int, jobs: int = 1, status: str = "failed") -> Line:
    at = AT + timedelta(hours=number)
    return Line(
        task="t", status=status, line=text, jobs=jobs, first_at=at, last_at=at + timedelta(1),
        last_id=number, last_key=f"k{number}",
    )  # fmt: skip


def test_lines_of_one_cause_are_counted_together() -> None:
    first, other, third = group(
        [
            line("late by 1", 1, 5),
            line("late by 2", 3, 2),
            line("lost", 2),
            line("", 4, 1, "aborted"),
        ]
    )
    assert (first.cause, first.jobs, first.last_key, first.text) == (
        "late by …",
        7,
        "k3",
        "late by",
    )
    assert (first.first_at, first.last_at) == (AT + timedelta(hours=1), AT + timedelta(1, 3 * 3600))
    assert {other.status, third.status} == {"failed", "aborted"}
    assert {other.text, third.text} == {"lost", None}


def test_a_text_to_look_for_is_in_every_error() -> None:
    for text in ("KeyError: 'a'", "see https://u:p@h/1 and wait 3 s then go on", "1 2 3"):
        (found,) = group([line(text, 1)])
        assert found.text is None or found.text in text
