"""Runs a command that must not outlive the process that started it, even if that is killed.

It is run as a program, as the leader of a process group of its own, and uses only the standard
library. Its standard input is a pipe that its parent holds: when the pipe closes, the whole group
gets SIGTERM. Its exit code is the command's.
"""

import os
import signal
import subprocess
import sys
import threading


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    # This process must outlive the command. Not by SIG_IGN, which the command would inherit.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as command:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        code = command.wait()
    sys.exit(128 - code if code < 0 else code)
