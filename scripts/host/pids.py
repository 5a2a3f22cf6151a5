"""Which process has a process id now. Ids are reused, so an id alone does not identify one."""

import subprocess
from pathlib import Path


def command_line(pid: int) -> str:
    """The command line of the process; empty if there is none, or it is a zombie."""
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
    """When the process started, which distinguishes it from a later one with the same id; None if
    there is no such process."""
    if Path("/proc/self/stat").exists():
        try:
            # The name may hold any character. After it: the state, and 19 fields later the start.
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
