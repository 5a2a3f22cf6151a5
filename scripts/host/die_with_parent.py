"""Runs a command that shall not outlive who started it, even where that is killed.

Run as a program, leader of a process group of its own, with the standard library alone. Its
standard input is a pipe that its starter holds: when that closes, the whole group is told to end.
Its exit code is the command's.
"""

import os
import signal
import subprocess
import sys
import threading


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    # A handler, not SIG_IGN, which the command would inherit: this is to outlive the command.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as command:
        threading.Thread(target=_end_with_starter, daemon=True).start()
        code = command.wait()
    sys.exit(128 - code if code < 0 else code)
