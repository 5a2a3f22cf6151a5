"""`make faults`: every row on our engine, the control on stock SAQ, then the published table."""

import subprocess
import sys
import warnings

import pytest

from tests.faults.results import RESULTS

PLACES = ("tests/faults", "tests/service/queue/postgres/test_protocol.py")
OPTIONS = (*PLACES, "-m", "faults", "-q", "--tb=short", "--show-capture=no")


def main(arguments: list[str]) -> int:
    """Run the list, or what `arguments` choose of it; only a whole run is published."""
    if not arguments:
        RESULTS.unlink(missing_ok=True)
    # in a process of its own: what is imported here already, pytest could not rewrite
    command = [sys.executable, "-m", "pytest", *OPTIONS, *arguments]
    status = subprocess.run(command, check=False).returncode
    if not arguments and status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        warnings.filterwarnings(
            "ignore", "XDG_RUNTIME_DIR is not set"
        )  # the embedded Postgres' own
        from tests.faults.report import publish  # only now: it imports every row

        publish()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
