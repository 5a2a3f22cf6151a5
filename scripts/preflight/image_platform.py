"""Can the image of a stage be built on this machine? Checked before a deploy waits for it.

python -m scripts.preflight.image_platform arm64
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

# Linux has a file here for each emulator that runs programs of another platform. On macOS and
# Windows the builder brings the emulators with it.
EMULATORS = Path("/proc/sys/fs/binfmt_misc") if sys.platform == "linux" else None
QEMU = {"arm64": "qemu-aarch64", "x86_64": "qemu-x86_64"}
ALIASES = {"aarch64": "arm64", "amd64": "x86_64"}
TIMEOUT_SECONDS = 20


def why_not_buildable(wanted: str, *, emulators: Path | None = EMULATORS) -> str:
    """Why an image for `wanted` (arm64, x86_64) cannot be built here; "" where it can."""
    tool = os.environ.get("CDK_DOCKER") or "docker"
    if shutil.which(tool) is None:
        return (
            f"{tool}, which builds the image, is not installed: install it, name another builder "
            "in CDK_DOCKER (podman, finch), or set `image` in stages.toml"
        )
    try:
        asked = subprocess.run(
            [tool, "info", "--format", "{{.Architecture}}"],
            text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False,
            timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{tool} does not answer ({type(error).__name__}): is its daemon running?"
    said = asked.stdout.strip() or platform.machine()  # podman and finch have no such field
    if asked.returncode and "format" not in asked.stderr and "template" not in asked.stderr:
        why = (asked.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return f"{tool} cannot build here: {why}"
    own = ALIASES.get(said, said)
    if own == wanted or _is_emulated(wanted, emulators):
        return ""
    return (
        f"the image is for {wanted}, {tool} runs on {own}, and this machine has no emulator for "
        f'{wanted} (the build would fail with "exec format error"). Either set cpu_architecture = '
        f'"{own}" in stages.toml, or run once on this machine: {tool} run --privileged --rm '
        f"tonistiigi/binfmt --install {'arm64' if wanted == 'arm64' else 'amd64'}"
    )


def _is_emulated(wanted: str, emulators: Path | None) -> bool:
    try:
        return emulators is None or (
            emulators / QEMU.get(wanted, f"qemu-{wanted}")
        ).read_text().startswith("enabled")
    except OSError:
        return False


if __name__ == "__main__":
    if problem := why_not_buildable(ALIASES.get(sys.argv[1], sys.argv[1])):
        sys.exit(f"error: {problem}")
