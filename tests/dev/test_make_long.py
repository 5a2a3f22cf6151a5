"""`make bench` and `make faults` start, and do a small part of what they are for."""

import subprocess
from pathlib import Path

from tests.scripts.conftest import ROOT


def make(command: str, arguments: str) -> str:
    done = subprocess.run(
        ["make", command, f"ARGS={arguments}"],
        cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_make_bench_measures_and_writes_a_page(tmp_path: Path) -> None:
    said = make("bench", f"--quick --only moorage --measure idle,history --out {tmp_path}")

    assert "2/2 history" in said
    page = (tmp_path / "benchmarks.md").read_text()
    assert "## An idle worker" in page
    assert "### A list of 100,000 ended jobs" in page
    assert "10,000 were changed, and 0 not once." in page


def test_make_faults_holds_a_promise() -> None:
    said = make("faults", "-k F5")

    assert "F5       ours  passed" in said
