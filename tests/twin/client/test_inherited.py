"""What a terminal is set up for does not reach what the twin starts, nor lead past it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.host.environment import Environment, inherited
from scripts.twin.client.shell import env_file, environment, write_env, write_programs
from scripts.twin.client.state import Twin, folder

NOWHERE = "http://127.0.0.1:9"
FOREIGN = (
    "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN",
    "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_DATA_PATH", "AWS_RETRY_MODE",
    "AWS_USE_FIPS_ENDPOINT", "AWS_SDK_LOAD_CONFIG", "BOTO_CONFIG", "CDK_DOCKER", "CDK_OUTDIR",
    "CDK_CONTEXT_JSON", "CDK_DEFAULT_REGION", "PGSSLMODE", "PGHOST", "PGPORT", "PGUSER",
    "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGOPTIONS", "PGDATA", "PGTZ", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "FTP_PROXY", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONSAFEPATH", "PYTHONOPTIMIZE",
    "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "NODE_OPTIONS", "NODE_PATH", "NODE_ENV",
    "NODE_EXTRA_CA_CERTS", "JSII_NODE", "JSII_RUNTIME", "npm_config_prefix", "NPM_CONFIG_GLOBAL",
    "PIP_USER", "UV_PYTHON", "VIRTUAL_ENV", "MOTO_ACCOUNT_ID", "MOTO_IAM_LOAD_MANAGED_POLICIES",
    "S3_IGNORE_SUBDOMAIN_BUCKETNAME", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "CURL_CA_BUNDLE", "OPENSSL_CONF", "LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "LANG",
    "LC_ALL", "LC_MESSAGES", "LANGUAGE", "BASH_ENV", "ENV", "CDPATH", "GREP_OPTIONS", "MAKEFLAGS",
    "MAKELEVEL", "TERM", "COLUMNS", "DEBUG", "CI", "FORCE_COLOR", "HOSTALIASES", "RES_OPTIONS",
    "GLIBC_TUNABLES", "DOCKER_HOST", "API_KEY", "DATABASE_URL", "STAGE", "API_HOST", "GIT_DIR",
    "COVERAGE_PROCESS_START", "FLASK_DEBUG", "WERKZEUG_SERVER_FD", "DATABASE_SECRET_ARN",
)  # fmt: skip
KEPT = ("PATH", "USER", "LOGNAME", "SHELL", "TZ", "LD_LIBRARY_PATH")


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_setting_is_left_in_its_terminal(name: str, tmp_path: Path) -> None:
    assert name not in inherited({name: NOWHERE}, tmp_path)
    assert environment(None, {name: NOWHERE}, tmp_path).get(name) is None


def test_what_programs_need_comes_along(tmp_path: Path) -> None:
    given = {name: f"/{name}" for name in KEPT} | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}

    assert inherited(given, Path("/spare")) == given


def test_the_cdk_reports_nothing_to_aws_even_without_a_twin(tmp_path: Path) -> None:
    assert environment(None, {}, tmp_path)["CDK_DISABLE_CLI_TELEMETRY"] == "true"


@pytest.mark.parametrize("home", [None, "", "/nowhere", "/dev/null"])
def test_a_home_that_is_none_is_replaced(home: str | None, tmp_path: Path) -> None:
    given = {} if home is None else {"HOME": home, "TMPDIR": home}

    assert inherited(given, tmp_path) == {"PATH": os.defpath, "HOME": str(tmp_path)}


@pytest.mark.parametrize("is_embedded", [True, False])
def test_the_service_gets_postgres_s_variables_with_a_server_of_the_caller_s_own_alone(
    is_embedded: bool, tmp_path: Path
) -> None:
    given = {"PGSSLMODE": "require", "PGPASSFILE": "/x", "PYTHONPATH": "/x", "LD_PRELOAD": "/x",
             "PYTHONUNBUFFERED": "", "AWS_PROFILE": "mine", "HTTPS_PROXY": NOWHERE}  # fmt: skip
    if not is_embedded:
        given["DATABASE_URL"] = "postgresql://db.example/shop"

    found = Environment(given, tmp_path).for_service("postgresql://", {})

    assert ("PGSSLMODE" in found, "PGPASSFILE" in found) == (not is_embedded, not is_embedded)
    assert not {"PYTHONPATH", "LD_PRELOAD"} & set(found)
    assert found["PYTHONUNBUFFERED"] == "1"
    # the user's own code may call AWS, and the internet
    assert (found["AWS_PROFILE"], found["HTTPS_PROXY"]) == ("mine", NOWHERE)


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    """What is written down of one."""
    home = tmp_path / "with space"
    folder(home).mkdir(parents=True)
    return Twin(
        home=home, account="1", region="us-east-1", endpoint="http://localhost:1",
        access_key="AKIATWIN", secret_key="s3cret", url="", agent_url="", images=home,
        python=Path(), postgres_port=0, release="0", pid=0, started="",
    )  # fmt: skip


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh", "ksh"])
def test_the_env_file_leaves_nothing_of_another_aws(twin: Twin, shell: str) -> None:
    if (program := shutil.which(shell)) is None:
        program = "/bin/sh"  # there is always one, and what is asked of it is the same
    write_env(twin, {"API_KEY": "it's a key"})
    given = {name: NOWHERE for name in FOREIGN if name.startswith("AWS_") or name == "BOTO_CONFIG"}
    script = '. "$0"; . "$0"; env'

    shown = subprocess.run(
        [program, "-c", script, str(env_file(twin.home))],
        env={**given, "PATH": "/usr/bin:/bin", "NO_PROXY": ".corp"}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip

    assert shown.stderr == ""
    found = dict(line.partition("=")[::2] for line in shown.stdout.splitlines())
    ours = {name for name in twin.environment if name.startswith("AWS_")}
    assert {name for name in found if name.startswith(("AWS_", "BOTO_"))} == ours
    assert {name: found[name] for name in ours} == {name: twin.environment[name] for name in ours}
    assert found["API_KEY"] == "it's a key"
    assert found["NO_PROXY"] == "localhost,127.0.0.1,.corp"
    assert found["no_proxy"] == "localhost,127.0.0.1"


@pytest.mark.parametrize("arguments", [["sqs", "list-queues"], ["--version"], ["rds", "a b"]])
def test_aws_s_command_line_is_told_the_address_by_an_argument(
    twin: Twin, tmp_path: Path, arguments: list[str]
) -> None:
    """Version 1 goes to names of its own for some services, whatever AWS_ENDPOINT_URL says."""
    write_env(twin)
    write_programs(twin.home)
    real = tmp_path / "real" / "aws"
    real.parent.mkdir()
    real.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    real.chmod(0o755)
    script = '. "$0"; aws "$@"'

    shown = subprocess.run(
        ["sh", "-c", script, str(env_file(twin.home)), *arguments],
        env={"PATH": f"{real.parent}:/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert shown.stdout.splitlines() == ["--endpoint-url", twin.endpoint, *arguments]
    away = subprocess.run(
        ["sh", "-c", '. "$0"; unset AWS_ENDPOINT_URL; aws "$@"', str(env_file(twin.home)), "x"],
        env={"PATH": f"{real.parent}:/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert away.stdout.splitlines() == ["x"]
