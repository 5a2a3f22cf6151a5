"""A traceback is shown whole, and what is not the user's own code is folded."""

import traceback

import pytest

from service.console.frames import Part, parts

TRACE = """Traceback (most recent call last):
  File "/app/service/queue/worker/run.py", line 214, in _call
    return await call(context), None
           ^^^^^^^^^^^^^^^^^^^
  File "/app/service/queue/worker/invoke.py", line 36, in __call__
    return self.function(context, **self.payload)
  File "/app/service/domain/mail/jobs/tasks.py", line 9, in send
    await post(address)
  File "/usr/lib/python3.13/site-packages/httpx/_client.py", line 1, in post
    raise ConnectError(
    ...<2 lines>...
    )
  File "/usr/local/lib/python3.13/asyncio/tasks.py", line 500, in wait_for
    return await fut
httpx.ConnectError: all attempts failed
of 3
"""


def test_the_users_own_frames_are_open_and_the_others_folded() -> None:
    found = parts(TRACE)
    assert [each.frames for each in found] == [0, 2, 0, 2, 0]
    assert found[2].text == (
        '  File "/app/service/domain/mail/jobs/tasks.py", line 9, in send\n    await post(address)'
    )
    assert found[4].text == "httpx.ConnectError: all attempts failed\nof 3"
    assert "\n".join(each.text for each in found) == TRACE.strip("\n")


def test_causes_and_groups_are_read_too() -> None:
    try:
        try:
            raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])
        except ExceptionGroup as error:
            raise RuntimeError("of it") from error
    except RuntimeError as error:
        text = "".join(traceback.format_exception(error))
    found = parts(text.replace(__file__, "/x/tests/domain/mail/test_mail.py"))
    assert [each.frames for each in found] == [0], "it is the user's own file"
    text = text.replace(__file__, "/x/site-packages/y.py")
    foreign = parts(text)
    assert sum(each.frames for each in foreign) == text.count("site-packages") == 2
    assert "\n".join(each.text for each in foreign) == text.strip("\n")


@pytest.mark.parametrize(
    "text", ["no", "", 'File "', "  File \"x\"\n", "\n\n  a\n", " " * 100_000, "| " * 50_000]
)  # fmt: skip
def test_any_text_is_shown(text: str) -> None:
    assert parts(text) == [Part(text.strip("\n"))]
