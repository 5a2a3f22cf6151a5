"""Imports go one way, and the rules that say so bite: each is broken once, in a copy."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
]

# A contract's name, and in which module which line would break it.
VIOLATIONS = {
    "The image knows nothing about its infrastructure or its operators": (
        "service/queue/errors.py",
        "import scripts.errors",
    ),
    "Stacks see of the service only its contract": (
        "stacks/service/process.py",
        "import service.settings",
    ),
    "Configuration needs no CDK": ("stacks/config/checks.py", "import constructs"),
    "Operator commands never synthesize": ("scripts/errors.py", "import stacks.network.key"),
    "Operator commands see of the service only its contract": (
        "scripts/errors.py",
        "import service.settings",
    ),
    "Floors of the service": ("service/settings.py", "import service.db"),
    "boto3 has one door": ("service/db.py", "import boto3"),
}
# The operators' commands read these modules, so the CDK would reach them too.
ALSO = {"Configuration needs no CDK": {"Operator commands never synthesize"}}


def lint(tree: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )


def broken(output: str) -> set[str]:
    return {name for name in CONTRACTS if f"{name} BROKEN" in output}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("service", "scripts", "stacks"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_no_import_goes_the_wrong_way() -> None:
    result = lint(ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("contract", CONTRACTS)
def test_each_contract_fails_on_a_violation(contract: str, copy: Path) -> None:
    module, line = VIOLATIONS[contract]
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")

    result = lint(copy)

    assert result.returncode != 0
    assert broken(result.stdout) == {contract} | ALSO.get(contract, set()), result.stdout


def test_a_roundabout_import_is_found_too(copy: Path) -> None:
    with (copy / "service/contract.py").open("a") as file:
        file.write("\nimport asyncpg\n")

    result = lint(copy)

    assert "Operator commands see of the service only its contract" in broken(result.stdout)


@pytest.mark.parametrize("module", ["service.contract", "scripts.clean", "stacks.config.checks"])
def test_the_standard_library_is_enough_for(module: str) -> None:
    alone = subprocess.run(
        [sys.executable, "-S", "-c", f"import {module}"],  # -S: without the installed packages
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert alone.returncode == 0, alone.stderr


def test_a_new_module_of_the_service_must_choose_its_floor(copy: Path) -> None:
    (copy / "service" / "attic.py").write_text("")

    result = lint(copy)

    assert result.returncode != 0
    assert "service.attic" in result.stdout
