"""A `docker` for `cdk deploy` to the twin, which needs no Docker.

`CDK_DOCKER` names a file that runs this. An image is a folder with the code that the build copies.
Python and the packages are those of the checkout, so nothing has to be installed, and a container
is a process in that folder.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.errors import OperatorError
from scripts.twin.client.state import Twin

COPIED = ("service", "requirements.lock")  # of what service/Dockerfile copies


def main(home: Path, arguments: list[str]) -> int:
    """Run one command of the CDK; returns the exit status."""
    parser = argparse.ArgumentParser(prog="docker")
    commands = parser.add_subparsers(dest="command", required=True)
    login = commands.add_parser("login")
    login.add_argument("--username")
    login.add_argument("--password-stdin", action="store_true")
    login.add_argument("registry")
    commands.add_parser("inspect").add_argument("image")
    build = commands.add_parser("build")
    build.add_argument("--tag", required=True)
    build.add_argument("--file")
    build.add_argument("--platform")
    build.add_argument("--build-arg")  # the packages are those of the checkout
    build.add_argument("context", type=Path)
    tag = commands.add_parser("tag")
    tag.add_argument("image")
    tag.add_argument("name")
    commands.add_parser("push").add_argument("name")
    given = parser.parse_args(arguments)
    twin = Twin.load(home)
    if twin is None:
        sys.stderr.write(f"no twin runs in {home}; `moor up` starts it\n")
        return 1
    match given.command:
        case "inspect":
            return 0 if (twin.images / given.image).is_dir() else 1
        case "build":
            build_image(twin.images, given.context, given.tag)
        case "tag":
            replace(twin.images / given.image, twin.images / tag_of(given.name))
        case "push":
            push(twin, given.name)
    return 0


def build_image(images: Path, context: Path, name: str) -> None:
    """Make the folder `name` in `images`, completely or not at all."""
    with tempfile.TemporaryDirectory(dir=images, prefix=".new-") as half:
        for part in COPIED:
            source = context / part
            if source.is_dir():
                shutil.copytree(source, Path(half, "image", part))
            else:
                shutil.copy(source, Path(half, "image", part))
        replace(Path(half, "image"), images / name)


def replace(source: Path, target: Path) -> None:
    """Move `source` to `target`, unless that exists."""
    if target.is_dir():  # its name is a hash of its content, so it is the same
        shutil.rmtree(source)
    else:
        os.replace(source, target)


def tag_of(name: str) -> str:
    """The tag of `<registry>/<repository>:<tag>`. Raises `OperatorError` where there is none."""
    repository, _, tag = name.rpartition(":")
    if not repository or "/" in tag:
        raise OperatorError(f"{name} has no tag")
    return tag


def push(twin: Twin, name: str) -> None:
    """Register the image in ECR, so that the next deploy does not build it again."""
    import boto3  # here, because it takes most of the time of every other command

    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {**config, "digest": f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"},
        "layers": [],
    }
    registry = boto3.client(
        "ecr",
        endpoint_url=twin.endpoint,
        region_name=twin.region,
        aws_access_key_id=twin.access_key,
        aws_secret_access_key=twin.secret_key,
    )
    registry.put_image(
        repositoryName=name.rpartition(":")[0].partition("/")[2],
        imageTag=tag_of(name),
        imageManifest=json.dumps(manifest),
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
