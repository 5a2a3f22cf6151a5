"""A session's first moments: it takes the terminal for its own and becomes the command.

Run by the twin as a program, in a session of its own, with the standard library alone.
"""

import fcntl
import os
import sys
import termios

if __name__ == "__main__":
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    try:
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - its argument is the command
    except OSError as error:
        sys.stderr.write(f"Unable to start command: {sys.argv[1]}: {error.strerror}\r\n")
        sys.exit(127)
