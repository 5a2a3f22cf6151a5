"""The shell completes commands, stages and processes, by what it is told in the environment."""

import os
import subprocess
import sys

import pytest

from stacks.config.stages_file import stage_names


def complete(shell: str, line: str) -> str:
    """What `moor` offers at the end of that line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    result = subprocess.run(
        [sys.executable, "-m", "scripts.cli"],
        env={"PATH": os.environ["PATH"], "_MOOR_COMPLETE": f"complete_{shell}", **asked},  # noqa: TID251
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_stages_and_commands_are_completed(shell: str) -> None:
    offered = complete(shell, "moor queues --stage ")
    assert all(stage in offered for stage in stage_names())
    assert "prod" in complete(shell, "moor jobs list --stage pr")
    assert "dev" not in complete(shell, "moor jobs list --stage pr")
    assert "failed" in complete(shell, "moor jobs list --status fa")
    assert "doctor" in complete(shell, "moor doc")
    assert "dashboard" in complete(shell, "moor open dash")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_each_shell_calls_moor(shell: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "scripts.cli"],
        env={"PATH": os.environ["PATH"], "_MOOR_COMPLETE": f"source_{shell}"},  # noqa: TID251
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "_MOOR_COMPLETE=" in result.stdout
    assert f"complete_{shell}" in result.stdout
