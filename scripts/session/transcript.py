"""Cuts the output of a remote command out of what session-manager-plugin prints."""

import re
import shlex
from collections.abc import Sequence

BANNER_BYTES = 64 * 1024  # how much of the plugin's output before the command is kept


def wrap(command: Sequence[str], nonce: str) -> str:
    """A command line for ExecuteCommand that marks where the output begins and ends, and prints the
    exit code.

    A session itself has no exit code. The agent splits the line as a shell would.
    """
    # The mark is given in two parts, so that only the output has it whole, and not `ps`.
    mark = f"{shlex.quote(nonce[:4])} {shlex.quote(nonce[4:])}"
    script = (
        # Ctrl-C ends the command, but not this shell, which prints the exit code.
        f"trap : INT; printf '%s%s:' {mark}; "
        # A subshell, so that `exit` and `exec` in the command do not skip the last line.
        f"({shlex.join(command)}); "
        f"printf '%s%s%d:' {mark} $?"
    )
    return f"/bin/sh -c {shlex.quote(script)}"


class Transcript:
    """Takes what the plugin prints, piece by piece, and returns what the command printed."""

    def __init__(self, nonce: str) -> None:
        self._mark = nonce.encode()
        self._end = re.compile(re.escape(self._mark) + rb"(\d{1,3}):")
        self._unfinished = re.compile(re.escape(self._mark) + rb"\d{0,3}")
        self._has_begun = False
        self._buffer = b""
        self.exit_code: int | None = None  # None: the command has not ended

    @property
    def instead(self) -> str:
        """The plugin's output so far, if the command has not begun; empty after that."""
        return "" if self._has_begun else self._buffer.decode(errors="replace").strip()

    def feed(self, data: bytes) -> bytes:
        """The output that can be shown now, with \\r\\n of the remote terminal as \\n."""
        if self.exit_code is not None:
            return b""  # the plugin's closing words
        self._buffer += data
        if not self._has_begun:
            _, mark, after = self._buffer.partition(self._mark + b":")
            if not mark:
                self._buffer = self._buffer[-BANNER_BYTES:]
                return b""
            self._has_begun, self._buffer = True, after
        end = self._end.search(self._buffer)
        if end is not None:
            self.exit_code = int(end[1])
            return self._cut(end.start())
        return self._cut(len(self._buffer) - self._held_back())

    def rest(self) -> bytes:
        """The output that was held back, once the plugin has ended."""
        is_open = self._has_begun and self.exit_code is None
        return self._cut(len(self._buffer)) if is_open else b""

    def _held_back(self) -> int:
        """How many bytes at the end may be the beginning of a mark or of \\r\\n."""
        longest = min(len(self._buffer), len(self._mark) + 3)
        for length in range(longest, 0, -1):
            tail = self._buffer[-length:]
            if self._mark.startswith(tail) or self._unfinished.fullmatch(tail):
                return length
        return int(self._buffer.endswith(b"\r"))

    def _cut(self, length: int) -> bytes:
        shown, self._buffer = self._buffer[:length], self._buffer[length:]
        return shown.replace(b"\r\n", b"\n")
