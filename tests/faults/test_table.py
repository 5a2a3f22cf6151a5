"""The list of faults agrees with itself, and with the tests it names."""

import ast
import re
import subprocess
import sys

from tests.conftest import ROOT
from tests.faults.table import ROWS
from tests.faults.table.others import ELSEWHERE


def test_no_two_rows_share_an_id() -> None:
    ids = [row.id for row in ROWS]
    assert sorted(ids) == sorted(set(ids))


def test_tests_that_prove_a_fault_elsewhere_exist() -> None:
    for place in ELSEWHERE:
        path, _, name = place.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        assert name in {getattr(node, "name", None) for node in tree.body}, place


def test_every_row_says_how_stock_saq_does_or_is_not_about_it() -> None:
    unknown = [row.id for row in ROWS if row.stock_breaks and row.stock]
    assert unknown == [], "measured or quoted, not both"


def test_the_command_finds_every_row() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--collect-only", "-qq"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stdout + listed.stderr
    found = re.search(r"test_rows\.py: (\d+)", listed.stdout)
    assert found, listed.stdout
    assert int(found[1]) >= len(ROWS)
