"""Remembers what a command has changed so far, so that it can say so when it is interrupted."""

from collections.abc import Iterator
from contextlib import contextmanager

from scripts.terminal.answer import say


class Progress:
    """The steps that are done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def note(self, step: str) -> None:
        """Remember and print a step that is done."""
        self.done.append(step)
        say(f"  {step}")


@contextmanager
def steps_reported(again: str) -> Iterator[Progress]:
    """After Ctrl-C or a failure, says which steps are done, and `again`: how to do the rest."""
    progress = Progress()
    try:
        yield progress
    except BaseException as error:
        if progress.done or isinstance(error, KeyboardInterrupt):
            what = "; ".join(progress.done) or "nothing was changed"
            word = "Interrupted" if isinstance(error, KeyboardInterrupt) else "Not finished"
            say(f"{word}. Done so far: {what}. {again}")
        raise
