"""Images and logs."""

import re
from collections.abc import Iterator

from scripts.doctor.model import System, UnjudgedError, containers, seen
from scripts.doctor.rule import ECS, Rule, Severity, rule

# By content: a digest, or the tag that the CDK makes of one.
FIXED = re.compile(r"(@sha256:|:)[0-9a-f]{64}$")
PLATFORMS = {"linux/arm64": "ARM64", "linux/amd64": "X86_64"}


@rule(
    "log-mode-unset", Severity.WARNING,
    "Set the option `mode` of awslogs: by the account's default lines may be lost.",
    f"{ECS}/using_awslogs.html",
)  # fmt: skip
def log_mode_unset(system: System) -> Iterator[str]:
    for service, container in containers(system):
        if container.log_driver != "awslogs":
            yield f"{service.name}: {container.name} does not log to CloudWatch"
        elif "mode" not in container.log_options:
            yield f"{service.name}: {container.name} does not say whether its log may lose lines"


@rule(
    "log-kept-for-ever", Severity.WARNING,
    "Set log_retention_days.",
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Working-with-log-groups-and-streams.html",
)  # fmt: skip
def log_kept_for_ever(system: System) -> Iterator[str]:
    for name, days in seen(system, "retention_days", system.retention_days).items():
        if days is None:
            yield f"{name} keeps every line for ever, and each costs"


@rule(
    "architecture-mismatch", Severity.ERROR,
    "Build the image for the platform of the task definition (cpu_architecture).",
    f"{ECS}/ecs-arm64.html",
)  # fmt: skip
def architecture_mismatch(system: System) -> Iterator[str]:
    if system.image_platforms is None and system.is_live:
        raise UnjudgedError("the registry tells it only with the image; the template tells")
    platforms = seen(system, "image_platforms", system.image_platforms)
    judged = False
    for service, container in containers(system):
        for end, platform in platforms.items():
            if container.image.endswith(end):
                judged = True
                wanted = PLATFORMS.get(platform, platform)
                if wanted != service.definition.architecture:
                    yield (
                        f"{service.name}: {container.name} is built for {platform} and would run "
                        f"on {service.definition.architecture}"
                    )
    if not judged:
        raise UnjudgedError("the image was not built by the CDK, which alone knows its platform")


@rule(
    "image-may-change", Severity.WARNING,
    "Name the image by its digest (…@sha256:…), or leave `image` out and let the CDK build it.",
    f"{ECS}/deployment-type-ecs.html#deployment-container-image-stability",
)  # fmt: skip
def image_may_change(system: System) -> Iterator[str]:
    for image in sorted({container.image for _, container in containers(system)}):
        if not FIXED.search(image):
            yield f"{image} may mean another image tomorrow"


IMAGES: tuple[Rule[System], ...] = (
    log_mode_unset, log_kept_for_ever, architecture_mismatch, image_may_change,
)  # fmt: skip
