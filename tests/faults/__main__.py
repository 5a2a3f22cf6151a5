"""`make faults`: every row on our engine, the control on stock SAQ, then the published table."""

import sys

import pytest

from tests.faults.report import RESULTS, publish

OPTIONS = ("tests/faults", "-m", "faults", "-q", "--tb=short", "--show-capture=no")


def main(arguments: list[str]) -> int:
    """Run the list, or what `arguments` choose of it; only a whole run is published."""
    RESULTS.unlink(missing_ok=True)
    status = pytest.main([*OPTIONS, *arguments])
    if not arguments:
        publish()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
