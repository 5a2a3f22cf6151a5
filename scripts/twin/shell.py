"""The files that point a terminal's own commands at the twin: `. .moorage/twin/env`."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.twin.settings import Twin, docker_file, folder

ROOT = Path(__file__).parents[2]
# What would lead `aws`, `cdk` and boto3 past the variables that are set here.
UNSET = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CA_BUNDLE",
)


def env_file(home: Path) -> Path:
    return folder(home) / "env"


def write_env(twin: Twin, more: Mapping[str, str] | None = None) -> None:
    """Have `. .moorage/twin/env` set the twin's variables and `more`; others may not read it."""
    path = f'{shlex.quote(_programs(twin.home))}:"$PATH"'
    lines = [
        "# Written by `moor up`: points this terminal's aws, cdk and boto3 at the local twin.",
        *(f"unset {name}" for name in UNSET),
        *(
            f"export {name}={shlex.quote(value)}"
            for name, value in {**twin.environment, **(more or {})}.items()
        ),
        f"export PATH={path}",
    ]
    _write(env_file(twin.home), "\n".join(lines) + "\n", mode=0o600)


def write_docker(home: Path) -> None:
    """The program that the CDK takes for `docker`: it takes a file's name and no arguments."""
    command = shlex.join([sys.executable, "-m", "scripts.twin.docker", str(home)])
    text = f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {command} "$@"\n'
    _write(docker_file(home), text, mode=0o700)


def write_plugin(home: Path) -> None:
    """The program that `aws ecs execute-command` needs on PATH."""
    file = folder(home) / "bin" / "session-manager-plugin"
    file.parent.mkdir(exist_ok=True)
    command = shlex.join([sys.executable, "-m", "scripts.twin.session"])
    text = f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {command} "$@"\n'
    _write(file, text, mode=0o700)


def environment(twin: Twin | None, given: Mapping[str, str]) -> dict[str, str]:
    """`given` as it is after `. .moorage/twin/env`; without a twin, with nothing of AWS."""
    kept = {
        name: value
        for name, value in given.items()
        # Without bytecode every import of aws_cdk compiles it anew, for five seconds.
        if name not in {*UNSET, "PYTHONDONTWRITEBYTECODE"}
        and not name.startswith("AWS_ENDPOINT_URL_")
    }
    path = f"{_programs(twin.home if twin else None)}:{given.get('PATH', '')}"
    return {**kept, **(twin.environment if twin else {}), "PATH": path}


def _programs(home: Path | None) -> str:
    folders = [f"{ROOT}/node_modules/.bin", str(Path(sys.executable).parent)]
    return ":".join([*folders, *([str(folder(home) / "bin")] if home else [])])


def _write(file: Path, text: str, *, mode: int) -> None:
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
