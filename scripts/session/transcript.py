"""The output of a remote command, cut out of what session-manager-plugin prints around it."""

import re
import shlex
from collections.abc import Sequence

BANNER_BYTES = 64 * 1024  # before the command begins; what is longer is no banner


def wrap(command: Sequence[str], nonce: str) -> str:
    """A command line for ExecuteCommand that says where the output begins and how it ended.

    A session has no exit code of its own, and the agent splits the line as a shell would.
    """
    # In two parts: the whole mark is then nowhere but in the output, not even in what `ps` shows.
    mark = f"{shlex.quote(nonce[:4])} {shlex.quote(nonce[4:])}"
    script = (
        # Ctrl-C ends the command; this shell stays to say so.
        f"trap : INT; printf '%s%s:' {mark}; "
        # In a shell of its own: `exit` and `exec` in it must not take the last line away.
        f"({shlex.join(command)}); "
        f"printf '%s%s%d:' {mark} $?"
    )
    return f"/bin/sh -c {shlex.quote(script)}"


class Transcript:
    """Give it what the plugin prints, as it comes; it gives what the command printed."""

    def __init__(self, nonce: str) -> None:
        self._mark = nonce.encode()
        self._end = re.compile(re.escape(self._mark) + rb"(\d{1,3}):")
        self._unfinished = re.compile(re.escape(self._mark) + rb"\d{0,3}")
        self._has_begun = False
        self._buffer = b""
        self.exit_code: int | None = None  # None: the command has not ended

    @property
    def instead(self) -> str:
        """What came where the command should have begun; empty once it has."""
        return "" if self._has_begun else self._buffer.decode(errors="replace").strip()

    def feed(self, data: bytes) -> bytes:
        """What can be shown now. Lines end in \\n, where the remote terminal made it \\r\\n."""
        if self.exit_code is not None:
            return b""  # the plugin's farewell
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
        """What was still held back, when nothing more comes."""
        is_open = self._has_begun and self.exit_code is None
        return self._cut(len(self._buffer)) if is_open else b""

    def _held_back(self) -> int:
        """So many bytes at the end may be the beginning of something that is not to be shown."""
        longest = min(len(self._buffer), len(self._mark) + 3)
        for length in range(longest, 0, -1):
            tail = self._buffer[-length:]
            if self._mark.startswith(tail) or self._unfinished.fullmatch(tail):
                return length
        return int(self._buffer.endswith(b"\r"))

    def _cut(self, length: int) -> bytes:
        shown, self._buffer = self._buffer[:length], self._buffer[length:]
        return shown.replace(b"\r\n", b"\n")
