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
    path = f'{shlex.quote(f"{ROOT}/node_modules/.bin:{Path(sys.executable).parent}")}:"$PATH"'
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


def environment(twin: Twin, given: Mapping[str, str]) -> dict[str, str]:
    """`given` as it is after `. .moorage/twin/env`."""
    kept = {
        name: value
        for name, value in given.items()
        if name not in UNSET and not name.startswith("AWS_ENDPOINT_URL_")
    }
    path = f"{ROOT}/node_modules/.bin:{Path(sys.executable).parent}:{given.get('PATH', '')}"
    return {**kept, **twin.environment, "PATH": path}


def _write(file: Path, text: str, *, mode: int) -> None:
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
