"""What runs under a process number now; numbers are used again, so a number alone says little."""

import subprocess
from pathlib import Path


def command_line(pid: int) -> str:
    """Its command line; empty if there is no such process, or nothing of it but its exit status."""
    if Path("/proc/self/cmdline").exists():
        try:
            found = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return ""
        return found.replace(b"\0", b" ").decode(errors="replace").strip()
    listed = subprocess.run(
        ["ps", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, command = listed.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else command.strip()


def birth(pid: int) -> str | None:
    """What tells this process from another that has its number later; None if there is none."""
    if Path("/proc/self/stat").exists():
        try:
            # After the name, which may hold anything: the state, and 19 further on the start.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if fields[0] == "Z" else f"{boot} {fields[19]}"
    listed = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = listed.stdout.strip().partition(" ")
    return started.strip() or None if not state.startswith("Z") else None
