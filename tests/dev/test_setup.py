"""`make setup` on machines where it cannot work, and `make` itself."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev.index_settings import exports, read
from tests.scripts.conftest import ROOT

LOCKS = [
    "requirements.lock", "requirements-uv.lock", "requirements-dev.lock", "requirements-bench.lock",
    "requirements-telemetry.lock",
    "requirements-checkov.lock", "requirements-audit.lock",
]  # fmt: skip
PYTHONS = ["python3.13", "python3.12", "python3.11", "python3"]


def run_setup(folder: Path, python: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`make setup` where every Python on PATH is the script `python`."""
    programs = folder / "bin"
    programs.mkdir()
    for name in PYTHONS:
        (programs / name).write_text(python)
        (programs / name).chmod(0o755)
    for lock in ("requirements-dev.lock", "requirements-uv.lock"):
        (folder / lock).write_text("")
    return subprocess.run(
        ["/bin/sh", ROOT / "dev" / "setup.sh"],
        cwd=folder,
        env={"PATH": f"{programs}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_machine_without_a_python_that_works_is_told_so(tmp_path: Path) -> None:
    # As a version manager's name with no version behind it.
    result = run_setup(tmp_path, "#!/bin/sh\nexit 127\n")

    assert result.returncode != 0
    assert "no Python 3.11 or newer was found" in result.stderr
    assert "PYTHON=" in result.stderr


def test_a_python_without_ensurepip_is_told_which_package_has_it(tmp_path: Path) -> None:
    result = run_setup(
        tmp_path,
        "#!/bin/sh\n"
        'case "$2" in *ensurepip*) exit 1;; esac\n'
        'case "$2" in *print*) echo 3.12;; esac\n',
    )

    assert result.returncode != 0
    assert "apt-get install python3.12-venv" in result.stderr
    assert not (tmp_path / ".venv").exists()


# Settings of pip, uv and Python that somebody may have for other work, and that would install
# elsewhere, install nothing, or have another Python start.
BREAK = (
    "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_DEPS",
    "PIP_DRY_RUN", "PIP_PYTHON", "PIP_CONSTRAINT", "PIP_NO_BINARY", "PIP_ONLY_BINARY",
    "PIP_REQUIREMENT", "PIP_PLATFORM", "PIP_IGNORE_INSTALLED", "PIP_QUIET",
    "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_TARGET", "UV_PREFIX", "UV_SYSTEM_PYTHON",
    "UV_NO_BINARY", "UV_NO_BUILD", "UV_NO_VERIFY_HASHES", "UV_CONSTRAINT", "UV_OVERRIDE",
    "UV_EXCLUDE_NEWER", "UV_DRY_RUN", "UV_BREAK_SYSTEM_PACKAGES", "UV_COMPILE_BYTECODE",
    "PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONHASHSEED", "PYTHONSTARTUP",
    "PYTHONUSERBASE", "PYTHONWARNINGS", "PYTHONPLATLIBDIR", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT",
    "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "__PYVENV_LAUNCHER__", "CDPATH", "GREP_OPTIONS",
)  # fmt: skip
# Where packages come from, and how to get there.
REACH = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CLIENT_CERT",
    "PIP_PROXY", "PIP_FIND_LINKS", "PIP_TIMEOUT", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL",
    "UV_INDEX_COMPANY_USERNAME", "UV_INDEX_COMPANY_PASSWORD", "UV_INSECURE_HOST", "UV_NATIVE_TLS",
    "UV_CACHE_DIR", "UV_HTTP_TIMEOUT", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "ALL_PROXY",
    "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NETRC", "HOME",
)  # fmt: skip


def test_of_the_caller_s_settings_those_of_where_packages_come_from_reach_setup(
    tmp_path: Path,
) -> None:
    given = {name: f"of the caller {name}" for name in (*BREAK, *REACH)}

    run_setup(tmp_path, f"#!/bin/sh\nenv >{tmp_path}/told\nexit 1\n", **given)

    told = dict(line.partition("=")[::2] for line in (tmp_path / "told").read_text().splitlines())
    assert {name: told.get(name) for name in BREAK} == dict.fromkeys(BREAK)
    assert {name: told.get(name) for name in REACH} == {name: given[name] for name in REACH}


def test_an_interpreter_with_a_space_in_its_path_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "my pythons"
    folder.mkdir()
    (folder / "python").write_text(f"#!/bin/sh\ntouch '{tmp_path}/asked'\nexit 1\n")
    (folder / "python").chmod(0o755)

    result = run_setup(tmp_path, "#!/bin/sh\nexit 0\n", PYTHON=str(folder / "python"))

    assert (tmp_path / "asked").exists()
    assert "no Python 3.11 or newer was found" in result.stderr


LISTED = """\
global.user='true'
global.index-url='https://us\\'er:pass@mirror.example/simple'
global.cert='/etc/company.pem'
install.target='/elsewhere'
install.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'
install.no-deps='true'
freeze.proxy='http://other:1'
:env:.proxy='http://proxy:3128'
:env:.config-file='/a/pip.conf'
"""


def test_pip_s_files_are_read_for_where_packages_come_from_alone() -> None:
    found = read(LISTED)

    assert found == {
        "index-url": "https://us'er:pass@mirror.example/simple",
        "cert": "/etc/company.pem",
        "extra-index-url": "https://a.example/simple https://b.example/simple",
        "proxy": "http://proxy:3128",
    }
    shell = exports(found, {}, uv_has_a_file=False)
    shown = subprocess.run(
        ["sh", "-c", f"{shell}\nenv"], env={}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in (
        "PIP_CONFIG_FILE=/dev/null",
        "PIP_INDEX_URL=https://us'er:pass@mirror.example/simple",
        "UV_DEFAULT_INDEX=https://us'er:pass@mirror.example/simple",
        "UV_INDEX=https://a.example/simple https://b.example/simple",
        "SSL_CERT_FILE=/etc/company.pem",
        "ALL_PROXY=http://proxy:3128",
    ):
        assert line in shown


@pytest.mark.parametrize(
    ("given", "has_a_file"),
    [({"UV_INDEX_URL": "x"}, False), ({"UV_INDEX": "x"}, False), ({}, True)],
)
def test_uv_s_own_index_stays_uv_s(given: dict[str, str], has_a_file: bool) -> None:
    shell = exports(read(LISTED), given, uv_has_a_file=has_a_file)

    assert "export UV_" not in shell
    assert "export SSL_CERT_FILE=" in shell


def test_node_s_packages_are_locked_with_their_hashes() -> None:
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]

    assert len(locked) > 1
    assert [name for name, each in locked.items() if name and "integrity" not in each] == []


@pytest.mark.parametrize(
    "name",
    ["PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONHASHSEED", "NODE_OPTIONS", "NODE_ENV",
     "JSII_NODE", "BASH_ENV", "CDPATH", "GREP_OPTIONS", "OPENSSL_CONF", "LD_PRELOAD", "TMPDIR"],
)  # fmt: skip
def test_make_gives_no_recipe_what_would_break_it(name: str) -> None:
    told = recipe_environment({name: "/nowhere", "PYTHON": "python3.12", "HTTPS_PROXY": "x"})

    assert name not in told
    assert (told["PYTHON"], told["HTTPS_PROXY"]) == ("python3.12", "x")


def test_make_keeps_a_folder_for_temporary_files_that_is_one(tmp_path: Path) -> None:
    assert recipe_environment({"TMPDIR": str(tmp_path)})["TMPDIR"] == str(tmp_path)


def recipe_environment(given: dict[str, str]) -> dict[str, str]:
    """What a recipe of the Makefile is given."""
    shown = subprocess.run(
        ["make", "--no-print-directory", "--eval", "told:; @env", "told"],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", **given}, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    return dict(line.partition("=")[::2] for line in shown.splitlines())


def test_make_does_one_thing_after_the_other_whatever_makeflags_say() -> None:
    assert "\n.NOTPARALLEL:\n" in (ROOT / "Makefile").read_text()


def test_make_alone_lists_every_command() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    named = set(re.findall(r"^  make (\S+)", listed, re.MULTILINE))
    makefiles = (ROOT / "Makefile").read_text() + (ROOT / "dev/kit.mk").read_text()
    commands = " ".join(re.findall(r"^\.PHONY: (.+)", makefiles, re.MULTILINE)).split()
    # What only other commands need, and the list itself.
    assert named == set(commands) - {"help", "browser", "cdk", "lock-tools"}


def pins(lock: str) -> dict[str, list[Requirement]]:
    lines = re.findall(r"^[a-z0-9][^\\\n]*", (ROOT / lock).read_text(), re.MULTILINE)
    found: dict[str, list[Requirement]] = {}
    for line in lines:
        pin = Requirement(line)
        found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [entry for group in project["dependency-groups"].values() for entry in group]
    extras = [
        each for extra in project["project"]["optional-dependencies"].values() for each in extra
    ]
    lines = [*project["project"]["dependencies"], *extras, *groups]
    return [Requirement(line) for line in lines if isinstance(line, str)]


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_host(lock: str) -> None:
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert "index" not in text
    assert not (ROOT / "uv.lock").exists()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text().strip())

    assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_what_is_declared_is_locked_to_a_version_it_allows() -> None:
    locked: dict[str, list[Requirement]] = {}
    for lock in ("audit", "checkov", "bench", "uv", "dev"):
        locked |= pins(f"requirements-{lock}.lock")

    for requirement in declared():
        for pin in locked[canonicalize_name(requirement.name)]:
            version = next(iter(pin.specifier)).version
            assert requirement.specifier.contains(version), f"{requirement}: `make lock`"


def test_the_image_runs_what_the_tests_ran() -> None:
    image, tested = pins("requirements.lock"), pins("requirements-dev.lock")
    telemetry = pins("requirements-telemetry.lock")

    for smaller, larger in ((image, telemetry), (telemetry, tested)):
        assert {name: list(map(str, smaller[name])) for name in smaller} == {
            name: list(map(str, larger.get(name, []))) for name in smaller
        }


def diff_of_local(folder: Path) -> "subprocess.CompletedProcess[str]":
    """`make diff STAGE=local` in a folder where everything is set up."""
    command = ["make", "-s", "-f", str(ROOT / "Makefile"), "-o", "setup", "-o", "cdk"]
    return subprocess.run(
        [*command, "diff", "STAGE=local"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "AWS_ACCESS_KEY_ID": "of-the-user"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_diff_of_the_local_stage_asks_the_twin_and_never_aws(tmp_path: Path) -> None:
    cdk = tmp_path / "node_modules" / ".bin" / "cdk"
    cdk.parent.mkdir(parents=True)
    cdk.write_text('#!/bin/sh\necho "$1 as $AWS_ACCESS_KEY_ID"\n')
    cdk.chmod(0o755)
    before = diff_of_local(tmp_path)
    assert before.returncode != 0
    assert before.stdout == ""
    assert "the local twin does not run; `make up` starts it" in before.stderr
    env = tmp_path / ".moorage" / "twin" / "env"
    env.parent.mkdir(parents=True)
    env.write_text("export AWS_ACCESS_KEY_ID=of-the-twin\n")
    assert diff_of_local(tmp_path).stdout == "diff as of-the-twin\n"
