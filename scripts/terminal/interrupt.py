"""Ctrl-C, and other signals that end a command as it does."""

import signal
from types import FrameType

_heard: list[int] = []


def heed(*numbers: signal.Signals) -> None:
    """Raise `KeyboardInterrupt` at each of these signals, and remember that it came.

    What is interrupted may make another error of it: boto3's import, for one, ends with a
    `TypeError`.
    """
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:  # of `nohup`, and of `&` in a script
            signal.signal(number, _interrupt)


def was_interrupted() -> bool:
    """Has one of the heeded signals come?"""
    return bool(_heard)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _heard.append(number)
    signal.default_int_handler(number, frame)
