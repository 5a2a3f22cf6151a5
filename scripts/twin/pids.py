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
