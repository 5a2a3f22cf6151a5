"""What the image of these tests runs: `python -m service WHAT ...`, one function for each."""

import os
import signal
import sys
import time
from pathlib import Path

WELL = Path(os.environ["TMPDIR"]) / "well"  # noqa: TID251


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


def wait() -> None:
    """Until SIGTERM, which ends it with 0."""

    def end(*_: object) -> None:
        say("ending")
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    say("pid", os.getpid())
    while True:
        time.sleep(60)


def stubborn() -> None:
    """Minds no SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("pid", os.getpid())
    while True:
        time.sleep(60)


def plain() -> None:
    """Ends by SIGTERM as a process does that knows nothing of it."""
    say("pid", os.getpid())
    time.sleep(3600)


def leave(code: str) -> None:
    say("leaving")
    sys.exit(int(code))


def show(*names: str) -> None:
    for name in names:
        say(name, os.environ.get(name))  # noqa: TID251
    say("all", " ".join(sorted(os.environ)))  # noqa: TID251


def count(number: str) -> None:
    for n in range(int(number)):
        sys.stdout.write(f"line {n}\n")
    sys.stdout.flush()


def late(seconds: str) -> None:
    """Well after a while."""
    time.sleep(float(seconds))
    WELL.touch()
    wait()


def sick() -> None:
    """Well at once, and no longer so after SIGUSR1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGUSR1, lambda *_: WELL.unlink())
    WELL.touch()
    say("pid", os.getpid())
    time.sleep(3600)


def check() -> None:
    sys.exit(0 if WELL.exists() else 1)


def serve() -> None:
    """Answers every request with 200."""
    import http.server  # no other function pays for it

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    address = (os.environ["API_HOST"], int(os.environ["API_PORT"]))  # noqa: TID251
    http.server.ThreadingHTTPServer(address, Answer).serve_forever()


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    {
        each.__name__: each
        for each in (wait, stubborn, plain, leave, show, count, late, sick, check, serve)
    }[what](*arguments)
