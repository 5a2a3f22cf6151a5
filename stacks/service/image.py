"""The one image that every container runs."""

from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Aws
from aws_cdk import aws_ecr_assets as assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from stacks.config.stage import Stage

ROOT = Path(__file__).parents[2]
DOCKERFILE = "service/Dockerfile"
TELEMETRY_LOCK = "requirements-telemetry.lock"  # has the libraries that most stages do not need
ARCHITECTURES = {
    "arm64": (ecs.CpuArchitecture.ARM64, assets.Platform.LINUX_ARM64),
    "x86_64": (ecs.CpuArchitecture.X86_64, assets.Platform.LINUX_AMD64),
}


@dataclass(frozen=True)
class Image:
    """The image, and the repository that the execution role must read (None for a public one)."""

    container_image: ecs.ContainerImage
    repository_arn: str | None
    platform: ecs.RuntimePlatform


def build_image(scope: Construct, id: str, *, stage: Stage) -> Image:
    """The configured image, or one that a deploy builds from this folder.

    `.dockerignore` says what is part of it, so that a change elsewhere builds no new image.
    """
    cpu, target = ARCHITECTURES[stage.cpu_architecture]
    platform = ecs.RuntimePlatform(
        cpu_architecture=cpu, operating_system_family=ecs.OperatingSystemFamily.LINUX
    )
    if stage.image:
        given = ecs.ContainerImage.from_registry(stage.image)
        return Image(given, _repository_arn(stage.image), platform)
    asset = assets.DockerImageAsset(
        scope,
        id,
        directory=str(ROOT),
        file=DOCKERFILE,
        platform=target,
        build_args={"REQUIREMENTS": TELEMETRY_LOCK} if stage.has_telemetry else None,
    )
    built = ecs.ContainerImage.from_docker_image_asset(asset)
    return Image(built, asset.repository.repository_arn, platform)


def _repository_arn(uri: str) -> str | None:
    """The repository of `<account>.dkr.ecr.<region>.amazonaws.com/<name>[:tag][@digest]`, or None
    for another registry."""
    registry, _, rest = uri.partition("/")
    parts = registry.split(".")
    if parts[1:3] != ["dkr", "ecr"]:
        return None
    name = rest.partition("@")[0].partition(":")[0]
    return f"arn:{Aws.PARTITION}:ecr:{parts[3]}:{parts[0]}:repository/{name}"
