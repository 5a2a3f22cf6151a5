"""What `service/Dockerfile` and the lock promise, without building the image."""

import hashlib
import json
import re
import shlex
import shutil
import ssl
import time
import tomllib
from collections import Counter
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev import rds_ca
from service import contract
from tests.conftest import ROOT

DOCKERFILE = (ROOT / "service/Dockerfile").read_text()
INSTRUCTIONS = [
    re.sub(r"\\\n", " ", found)
    for found in re.findall(r"^[A-Z]+ (?:.*\\\n)*.*$", re.sub("(?m)^ *#.*\n", "", DOCKERFILE), re.M)
]
FINAL = INSTRUCTIONS[[i for i, line in enumerate(INSTRUCTIONS) if line.startswith("FROM ")][-1] :]
LOCK = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BOTO3_CALL = re.compile(r"""\b(?:client|resource)\(\s*["']([a-z0-9-]+)["']""")


def argument(name: str) -> str:
    """The default of a build argument."""
    [found] = re.findall(rf"^ARG {name}=(.+)$", DOCKERFILE, re.M)
    return shlex.split(found)[0]


def final(instruction: str) -> list[str]:
    """The operands of each such instruction of the last stage."""
    return [line.split(" ", 1)[1] for line in FINAL if line.startswith(instruction + " ")]


def test_the_base_is_a_build_argument_with_a_digest() -> None:
    assert {line for line in INSTRUCTIONS if line.startswith("FROM ")} == {
        "FROM ${PYTHON_IMAGE} AS build",
        "FROM ${PYTHON_IMAGE}",
    }
    name = r"docker\.io/library/python:3\.(\d+)-slim-\w+@sha256:[0-9a-f]{64}"
    found = re.fullmatch(name, argument("PYTHON_IMAGE"))
    assert found
    assert int(found[1]) >= 12


def test_everything_it_copies_is_there_and_not_ignored() -> None:
    copied = [
        source
        for line in INSTRUCTIONS
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    let_in = re.findall("(?m)^!(.+?)/?$", (ROOT / ".dockerignore").read_text())
    assert copied
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert {path.split("/")[0] for path in copied} == set(let_in)


def test_the_testing_kit_stays_out() -> None:
    assert "service/testing/" in (ROOT / ".dockerignore").read_text().splitlines()
    assert (ROOT / "service/testing").is_dir()


def test_process_1_is_python_itself_and_its_default_is_the_api() -> None:
    assert [json.loads(line) for line in final("ENTRYPOINT")] == [["python", "-m", "service"]]
    assert [json.loads(line) for line in final("CMD")] == [[contract.ProcessName.API]]


def test_it_runs_as_the_numeric_user_that_the_stacks_name() -> None:
    assert final("USER") == [contract.USER]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", contract.USER)


def test_its_one_writable_place_is_where_the_heartbeat_goes() -> None:
    assert [json.loads(line) for line in final("VOLUME")] == [[contract.WRITABLE_PATH]]
    assert Path(contract.HEARTBEAT_FILE).is_relative_to(contract.WRITABLE_PATH)


def test_it_installs_wheels_of_the_lock_by_their_hashes_and_nothing_else() -> None:
    installs = [line for line in INSTRUCTIONS if re.search(r"\b(pip|apt-get|apk|curl)\b", line)]
    installs = [line for line in installs if "pip uninstall" not in line]
    assert len(installs) == 1
    for option in ("--require-hashes", "--only-binary=:all:", '-r "$REQUIREMENTS"'):
        assert option in installs[0]
    assert argument("REQUIREMENTS") == "requirements.lock"


def test_every_line_of_the_lock_has_hashes_and_no_address() -> None:
    lines = [line for line in LOCK if line.strip() and not line.startswith("#")]
    assert [line for line in lines if "--hash=sha256:" not in line] == []
    assert [line for line in lines if "://" in line] == []


def test_no_package_of_the_development_groups_is_in_the_lock() -> None:
    locked = {canonicalize_name(line.split("==")[0]) for line in LOCK if "==" in line}
    wanted = {canonicalize_name(Requirement(r).name) for r in PROJECT["project"]["dependencies"]}
    assert wanted <= locked

    def named(group: str) -> set[str]:
        lines = PROJECT["dependency-groups"][group]
        return {canonicalize_name(Requirement(line).name) for line in lines if type(line) is str}

    others = {name for group in PROJECT["dependency-groups"] for name in named(group)}
    # both: libraries of the service bring them, the tests and `moor` use them
    assert others & locked <= wanted | {"aiohttp", "httpx", "python-dotenv", "pyyaml", "rich"}


def test_it_keeps_what_botocore_knows_of_every_service_that_is_called() -> None:
    called = {
        name
        for file in (ROOT / "service").rglob("*.py")
        for name in BOTO3_CALL.findall(file.read_text())
    }
    assert called
    assert called - set(argument("AWS_SERVICES").split()) == set(), (
        "add it to AWS_SERVICES in service/Dockerfile"
    )


def test_the_roots_of_rds_are_those_that_were_checked_in_and_go_where_clients_look() -> None:
    file = ROOT / "service/rds-ca.pem"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == argument("RDS_CA_SHA256")
    assert f"--from=build /build/{file.name} {contract.RDS_CA_FILE}" in final("COPY")


def test_each_region_has_three_roots_of_rds_that_last_ten_years_more() -> None:
    bundle = (ROOT / "service/rds-ca.pem").read_text()
    found = rds_ca.roots(bundle)
    regions = Counter(name.split()[2] for name in found)
    assert set(regions.values()) == {3}  # RSA 2048, RSA 4096, ECC 384
    assert {"us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"} <= set(regions)
    assert len(found) == bundle.count("BEGIN CERTIFICATE")
    store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    store.load_verify_locations(cadata=bundle)
    ends = [ssl.cert_time_to_seconds(str(root["notAfter"])) for root in store.get_ca_certs()]
    assert min(ends) > time.time() + 10 * 365 * 24 * 3600


def test_new_roots_of_rds_replace_the_old_ones_and_their_sum(tmp_path: Path) -> None:
    for name in ("rds-ca.pem", "Dockerfile"):
        shutil.copy(ROOT / "service" / name, tmp_path)
    old = rds_ca.roots((tmp_path / "rds-ca.pem").read_text())
    gone = sorted(old)[0]
    trial = "".join(pem for name, pem in old.items() if name != gone)

    assert rds_ca.write(trial, tmp_path) == ([], [gone])
    text = (tmp_path / "rds-ca.pem").read_bytes()
    assert (
        f"ARG RDS_CA_SHA256={hashlib.sha256(text).hexdigest()}\n"
        in (tmp_path / "Dockerfile").read_text()
    )
    assert rds_ca.write("".join(old.values()), tmp_path) == ([gone], [])
