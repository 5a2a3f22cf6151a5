"""Writes the files that point a terminal's own commands at the twin: `. .moorage/twin/env`."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.host.environment import inherited
from scripts.twin.client.state import Twin, docker_file, folder

ROOT = Path(__file__).parents[3]
# All AWS variables are unset: each could lead `aws`, `cdk` or boto3 past the twin.
FORGET = """\
for _moor in $(env | sed -n 's/^\\(AWS_[A-Za-z0-9_]*\\)=.*/\\1/p'); do unset "$_moor"; done
unset _moor BOTO_CONFIG"""
# Version 1 of AWS's command line ignores AWS_ENDPOINT_URL for SQS, RDS, DocumentDB, Neptune and
# EMR, so it gets the address as an argument.
AWS = """\
#!/bin/sh
[ -z "${AWS_ENDPOINT_URL:-}" ] || set -- --endpoint-url "$AWS_ENDPOINT_URL" "$@"
IFS=:
for folder in $PATH; do
    [ "$folder" != %s ] && [ -x "$folder/aws" ] &&
        exec "$folder/aws" "$@"
done
echo 'aws: not found' >&2
exit 127
"""
PROXY = """\
case ",${%s:-}," in *,localhost,*) ;; *) export %s="localhost,127.0.0.1${%s:+,$%s}";; esac"""


def env_file(home: Path) -> Path:
    return folder(home) / "env"


def write_env(twin: Twin, more: Mapping[str, str] | None = None) -> None:
    """Write `.moorage/twin/env`, which sets the twin's variables and `more`. Only this user may
    read it."""
    path = f'{shlex.quote(_programs(twin.home))}:"$PATH"'
    lines = [
        "# Written by `moor up`: points this terminal's aws, cdk and boto3 at the local twin.",
        FORGET,
        *(
            f"export {name}={shlex.quote(value)}"
            for name, value in {**twin.environment, **(more or {})}.items()
        ),
        *(PROXY.replace("%s", name) for name in ("NO_PROXY", "no_proxy")),
        f"export PATH={path}",
    ]
    _write(env_file(twin.home), "\n".join(lines) + "\n", mode=0o600)


def write_docker(home: Path) -> None:
    """Write the program that the CDK runs as `docker`. CDK_DOCKER can only name a file."""
    command = shlex.join([sys.executable, "-m", "scripts.twin.client.docker", str(home)])
    text = f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {command} "$@"\n'
    _write(docker_file(home), text, mode=0o700)


def write_programs(home: Path) -> None:
    """Write the programs for PATH: `aws` for the twin, and the plugin that its exec needs."""
    file = folder(home) / "bin" / "session-manager-plugin"
    file.parent.mkdir(exist_ok=True)
    _write(file.with_name("aws"), AWS.replace("%s", shlex.quote(str(file.parent))), mode=0o700)
    command = shlex.join([sys.executable, "-m", "scripts.twin.client.session_plugin"])
    text = f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {command} "$@"\n'
    _write(file, text, mode=0o700)


def environment(twin: Twin | None, given: Mapping[str, str], home: Path) -> dict[str, str]:
    """The CDK's variables: those of `given` that it inherits, and those of the twin, if given."""
    kept = inherited(given, folder(home))
    path = f"{_programs(home)}:{kept['PATH']}"
    own = {"PATH": path, "CDK_DISABLE_CLI_TELEMETRY": "true"}
    return {**kept, **(twin.environment if twin else {}), **own}


def _programs(home: Path) -> str:
    own = Path(sys.executable).parent
    return f"{folder(home) / 'bin'}:{ROOT}/node_modules/.bin:{own}"


def _write(file: Path, text: str, *, mode: int) -> None:
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
