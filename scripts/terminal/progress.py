"""What a command has changed so far, so that one that is interrupted can say what stands."""

from collections.abc import Iterator
from contextlib import contextmanager

from scripts.terminal.answer import say


class Progress:
    """Steps that are done; each is said when it is."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def note(self, step: str) -> None:
        """In the past tense, with what is now so."""
        self.done.append(step)
        say(f"  {step}")


@contextmanager
def told(again: str) -> Iterator[Progress]:
    """Ctrl-C or a failure half-way says what is done, and that `again` does the rest."""
    progress = Progress()
    try:
        yield progress
    except BaseException as error:
        if progress.done or isinstance(error, KeyboardInterrupt):
            what = "; ".join(progress.done) or "nothing was changed"
            word = "Interrupted" if isinstance(error, KeyboardInterrupt) else "Not finished"
            say(f"{word}. What stands: {what}. {again}")
        raise
