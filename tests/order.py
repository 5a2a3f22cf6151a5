"""Which tests one process of the run takes together, and which are the first.

The tests of a file are together, and so are those that synthesize: the start of the CDK and its
first synthesis take four seconds of a core in each process.
"""

import re
from zlib import crc32

import pytest
from xdist.scheduler import LoadFileScheduling

SYNTHESIZE = {
    "every key": re.compile(r"tests/stacks/config/"),
    "every stage": re.compile(
        r"tests/stacks/(rules|scanners)/"
        r"|tests/stacks/test_(app|domains|identity|pipeline_role|pools_are_alike)\.py"
        r"|tests/agreement/test_(container_values|environment|names|operators)\.py"
        r"|tests/.*_rights\.py"
    ),
}
# Where files take half a minute and more: most of it they wait, those of the stacks compute.
LONG = (
    "tests/faults/", "tests/scripts/commands/", "tests/scripts/host/", "tests/scripts/local/",
    "tests/service/processes/", "tests/service/queue/backends/", "tests/service/queue/worker/",
    "tests/stacks/", "tests/twin/",
)  # fmt: skip


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Hands out the tests of one file, or of one row of `SYNTHESIZE`, to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)


def together(nodeid: str) -> str:
    """Of which row the test is, or else of which file."""
    file = nodeid.partition("::")[0]
    return next((name for name, files in SYNTHESIZE.items() if files.match(file)), file)


def turn(item: pytest.Item) -> tuple[bool, bool, bool, int]:
    """Long ones begin first, so that no process works on one alone at the end.

    What waits and what computes are neighbours in the alphabet; any other order mixes them.
    """
    name = together(item.nodeid)
    return (
        not name.startswith("tests/e2e/"),
        name not in SYNTHESIZE,
        not name.startswith(LONG),
        crc32(name.encode()),
    )
