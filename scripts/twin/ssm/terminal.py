"""The program that a session starts: it takes the terminal as its own and becomes the command.

The twin runs it in a new session of the system; it uses only the standard library.
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
