"""Images and logs."""

import re
from collections.abc import Iterator

from scripts.doctor.model import NotCheckedError, System, containers, known
from scripts.doctor.rule import ECS, Rule, Severity, rule

# A name that never means another image: a digest, or the CDK's tag, which is a hash of the content.
FIXED = re.compile(r"(@sha256:|:)[0-9a-f]{64}$")
PLATFORMS = {"linux/arm64": "ARM64", "linux/amd64": "X86_64"}


@rule(
    "log-mode-unset", Severity.WARNING,
    "Set the option `mode` of awslogs: the account's default may lose lines.",
    f"{ECS}/using_awslogs.html",
)  # fmt: skip
def log_mode_unset(system: System) -> Iterator[str]:
    for service, container in containers(system):
        if container.log_driver != "awslogs":
            yield f"{service.name}: {container.name} does not log to CloudWatch"
        elif "mode" not in container.log_options:
            yield f"{service.name}: {container.name} sets no log mode, so lines may be lost"


@rule(
    "log-kept-for-ever", Severity.WARNING,
    "Set log_retention_days.",
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Working-with-log-groups-and-streams.html",
)  # fmt: skip
def log_kept_for_ever(system: System) -> Iterator[str]:
    for name, days in known(system, "retention_days", system.retention_days).items():
        if days is None:
            yield f"{name} keeps every line for ever, which costs more each month"


@rule(
    "architecture-mismatch", Severity.ERROR,
    "Build the image for the platform of the task definition (cpu_architecture).",
    f"{ECS}/ecs-arm64.html",
)  # fmt: skip
def architecture_mismatch(system: System) -> Iterator[str]:
    if system.image_platforms is None and system.is_live:
        raise NotCheckedError("AWS does not show an image's platform; use --template")
    platforms = known(system, "image_platforms", system.image_platforms)
    is_checked = False
    for service, container in containers(system):
        for end, platform in platforms.items():
            if container.image.endswith(end):
                is_checked = True
                wanted = PLATFORMS.get(platform, platform)
                if wanted != service.definition.architecture:
                    yield (
                        f"{service.name}: {container.name} is built for {platform} and would run "
                        f"on {service.definition.architecture}"
                    )
    if not is_checked:
        raise NotCheckedError("only the CDK knows the platform, and it did not build the image")


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
