"""Imports go one way, and the rules that say so bite: each is broken once, in a copy."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = [contract["name"] for contract in LINTER["contracts"]]
FLOORS = [
    container for contract in LINTER["contracts"] for container in contract.get("containers", [])
]

# A contract's name, and in which module, which may be new, which line would break it.
VIOLATIONS = {
    "The image knows nothing about its infrastructure or its operators": (
        "service/queue/errors.py",
        "import scripts.errors",
    ),
    "Stacks see of the service only its contract": (
        "stacks/service/task_definition.py",
        "import service.settings",
    ),
    "Floors of the stacks": ("stacks/monitoring/alarms.py", "import stacks.data.log_bucket"),
    "Configuration needs no CDK": ("stacks/config/stage.py", "import constructs"),
    "Operator commands see of the stacks only their configuration": (
        "scripts/errors.py",
        "import stacks.node",
    ),
    "Operator commands never synthesize": ("scripts/errors.py", "import aws_cdk"),
    "Operator commands see of the service only its contract": (
        "scripts/errors.py",
        "import service.settings",
    ),
    "Floors of the operator's commands": ("scripts/clock.py", "import scripts.terminal.duration"),
    "Commands stand alone": ("scripts/commands/attic.py", "import scripts.commands.up"),
    "Floors of the local twin": (
        "scripts/twin/ssm/attic.py",
        "import scripts.twin.elb.target_health",
    ),
    "The local twin is asked through its client": (
        "scripts/commands/attic.py",
        "import scripts.twin.daemon",
    ),
    "Nothing that is used needs what is for who works on it": (
        "stacks/node.py",
        "import dev.audit",
    ),
    "No circles": (
        "scripts/doctor/model.py",
        "import typing\nif typing.TYPE_CHECKING:\n    import scripts.doctor.rule",
    ),
    "Floors of the service": ("service/settings.py", "import service.db"),
    "Floors of the queue": (
        "service/queue/interface.py",
        "import service.queue.postgres.postgres_queue",
    ),
    "The factory alone imports the backends": (
        "service/processes/queue_metrics.py",
        "import service.queue.redis.redis_queue",
    ),
    "Domains use the public API of the queue alone": (
        "service/domain/__init__.py",
        "import service.queue.errors",
    ),
    "The rooms of the queue do not import its public API": (
        "service/queue/worker/context.py",
        "import service.queue",
    ),
    "boto3 has one door": ("service/db.py", "import boto3"),
}
# The operators' commands read these modules, so the CDK would reach them too.
ALSO = {
    "Configuration needs no CDK": {"Operator commands never synthesize"},
    "Floors of the queue": {"No circles", "The factory alone imports the backends"},
}


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


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    for package in LINTER["root_packages"]:
        shutil.copytree(
            ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def lint_with(tree: Path, module: str, line: str) -> "subprocess.CompletedProcess[str]":
    """With that line at the end of a module, which is as before afterwards, or gone."""
    file = tree / module
    before = file.read_text() if file.exists() else None
    file.write_text(f"{before or ''}\n{line}\n")
    try:
        return lint(tree)
    finally:
        file.unlink() if before is None else file.write_text(before)


def test_no_import_goes_the_wrong_way() -> None:
    result = lint(ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("contract", CONTRACTS)
def test_each_contract_fails_on_a_violation(contract: str, tree: Path) -> None:
    result = lint_with(tree, *VIOLATIONS[contract])

    assert result.returncode != 0
    assert broken(result.stdout) == {contract} | ALSO.get(contract, set()), result.stdout


def test_a_roundabout_import_is_found_too(tree: Path) -> None:
    result = lint_with(tree, "stacks/config/naming.py", "import service.settings")

    assert "Operator commands see of the service only its contract" in broken(result.stdout)


CONFIG = [f"stacks.config.{path.stem}" for path in sorted((ROOT / "stacks/config").glob("*.py"))]


@pytest.mark.parametrize(
    "modules",
    [["service.contract"], ["scripts.local.clean"], CONFIG],
    ids=["the contract", "make clean", "the configuration"],
)
def test_the_standard_library_is_enough_for(modules: list[str]) -> None:
    alone = subprocess.run(
        # -S: without the installed packages
        [sys.executable, "-S", "-c", f"import {', '.join(modules)}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert alone.returncode == 0, alone.stderr


def test_a_new_module_must_choose_its_floor(tree: Path) -> None:
    attics = [tree / package.replace(".", "/") / "attic.py" for package in FLOORS]
    for attic in attics:
        attic.touch()

    result = lint(tree)

    for attic in attics:
        attic.unlink()
    assert result.returncode != 0
    assert [package for package in FLOORS if f"{package}.attic" not in result.stdout] == []
