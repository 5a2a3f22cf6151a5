"""Stands in for session-manager-plugin: the container is this machine.

As the real one it takes six arguments, prints a banner and a farewell, gives the command a
terminal, turns SIGINT into Ctrl-C there, gives up at the end of its input, and exits with 0
whatever the command did. The stream's address is a file with the command line.
"""

import fcntl
import json
import os
import pty
import select
import shlex
import signal
import sys
import termios
from pathlib import Path

CHUNK = 4096


def main(arguments: list[str]) -> int:
    session, region, operation, _profile, request, endpoint = arguments
    given = json.loads(session)
    assert operation == "StartSession"
    assert json.loads(request)["Target"].startswith("ecs:")
    assert region in endpoint
    show(f"\nStarting session with SessionId: {given['sessionId']}\n".encode())
    if given["tokenValue"] != "the token":
        show(b"Cannot perform start session: the token is not known\n")
        return 255
    command = shlex.split(Path(given["streamUrl"].removeprefix("file://")).read_text())
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    signal.signal(signal.SIGINT, lambda *_: os.write(terminal, b"\x03"))
    modes = termios.tcgetattr(terminal)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, b"\x18\0\x50\0\0\0\0\0")
    if not relay(terminal):
        show(b"Cannot perform start session: EOF\n")
        return 255
    os.waitpid(pid, 0)
    show(f"\n\nExiting session with sessionId: {given['sessionId']}.\n\n".encode())
    return 0


def relay(terminal: int) -> bool:
    """Until the command ends; False at the end of the input."""
    while True:
        # A signal just before the call has its handler run only after it.
        ready, _, _ = select.select([terminal, 0], [], [], 0.1)
        if terminal in ready:
            try:
                data = os.read(terminal, CHUNK)
            except OSError:  # so ends a terminal on Linux
                return True
            if not data:
                return True
            show(data)
        elif 0 in ready:
            data = os.read(0, CHUNK)
            if not data:
                return False
            os.write(terminal, data)


def show(data: bytes) -> None:
    os.write(1, data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
