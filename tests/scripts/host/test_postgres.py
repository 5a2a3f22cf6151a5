"""The embedded Postgres: shared, stopped by the last user, and started whatever a crash left."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from scripts.errors import OperatorError
from scripts.host.postgres import Postgres, PostgresError
from tests.cluster import new_home
from tests.scripts.conftest import are_gone, execute, wait_until


def pid_file(home: Path) -> Path:
    return home / "postgres" / "postmaster.pid"


def test_the_last_user_stops_it(used_home: Path) -> None:
    one, other = Postgres(used_home), Postgres(used_home)
    one.start()
    other.start()

    assert not one.stop()
    assert other.is_running
    assert other.stop()
    assert not other.is_running


def test_a_path_too_long_for_a_socket_works(home: Path) -> None:
    deep = home / ("x" * 60) / ("y, z" * 15)
    server = Postgres(deep)
    server.start()
    folder = server.socket_folder

    assert execute(deep, "SELECT 42") == 42
    assert folder.stat().st_mode & 0o007 == 0
    assert server.stop()
    assert not folder.exists()


def test_a_number_that_is_another_process_by_now_does_not_stop_the_start(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()
    lines = pid_file(used_home).read_text().splitlines()
    server.stop()
    # As after a power cut, when the number that Postgres had went to a process of the same user.
    with subprocess.Popen(["sleep", "60"], user=server.data.stat().st_uid) as other:
        pid_file(used_home).write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        lock = server.socket_folder / f".s.PGSQL.{server.port}.lock"
        lock.write_text("\n".join([str(other.pid), *lines[1:5]]) + "\n")
        for file in (pid_file(used_home), lock):
            os.chown(file, server.data.stat().st_uid, server.data.stat().st_gid)
        try:
            server.start()
        finally:
            other.kill()

    assert execute(used_home, "SELECT 42") == 42


def test_a_pid_file_written_by_half_does_not_stop_the_start(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()
    server.stop()
    pid_file(used_home).write_text("")

    server.start()

    assert execute(used_home, "SELECT 42") == 42


def test_a_server_that_was_killed_starts_again_with_its_data(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()
    execute(used_home, "CREATE TABLE kept AS SELECT 42 AS number")
    postmaster = psutil.Process(int(pid_file(used_home).read_text().split()[0]))
    everything = [postmaster, *postmaster.children()]
    postmaster.send_signal(signal.SIGKILL)
    wait_until(lambda: are_gone(everything), "gone")

    server.start()

    assert execute(used_home, "SELECT number FROM kept") == 42


def test_a_first_start_that_was_killed_half_way_leaves_nothing_in_the_way(home: Path) -> None:
    half = home / "postgres.new"
    half.mkdir(parents=True)
    (half / "base").mkdir()
    server = Postgres(home)

    server.start()

    assert execute(home, "SELECT 42") == 42
    assert not half.exists()


def test_data_of_another_version_is_refused_with_what_to_do(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()
    server.stop()
    (used_home / "postgres" / "PG_VERSION").write_text("16\n")

    with pytest.raises(PostgresError, match="made by Postgres 16") as refused:
        server.start()

    assert "make clean" in refused.value.hint


def test_a_server_that_cannot_start_says_why(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()
    server.stop()
    with (used_home / "postgres" / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = -1kB\n")

    with pytest.raises(PostgresError, match="shared_buffers") as refused:
        server.start()

    assert "make clean" not in refused.value.hint  # the data has nothing to do with it


def test_data_that_is_broken_is_called_so(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()
    server.stop()
    (used_home / "postgres" / "global" / "pg_control").write_bytes(b"x" * 8192)

    with pytest.raises(PostgresError) as refused:
        server.start()

    assert "is broken" in refused.value.hint
    assert "make clean" in refused.value.hint


# libpq's settings, each of which keeps pg_ctl, pg_isready or psql from a server of ours.
OF_ANOTHER_SERVER = {
    "PGSSLMODE": "require", "PGHOST": "nowhere", "PGHOSTADDR": "127.0.0.2", "PGPORT": "1",
    "PGUSER": "somebody", "PGDATABASE": "none", "PGOPTIONS": "-c nothing=1", "PGSERVICE": "none",
    "PGREQUIREAUTH": "scram-sha-256", "PGCHANNELBINDING": "require", "PGCONNECT_TIMEOUT": "x",
    "PGTARGETSESSIONATTRS": "standby", "PGCLIENTENCODING": "SQL_ASCII", "PGDATA": "/nowhere",
    "PGGSSENCMODE": "require", "PG_COLOR": "always", "PGTZ": "Nowhere/None", "LC_ALL": "none",
    "LC_MESSAGES": "de_DE", "TZ": "Nowhere/None", "LD_LIBRARY_PATH": "/nowhere",
}  # fmt: skip


def test_settings_of_another_server_do_not_reach_this_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OF_ANOTHER_SERVER.items():
        monkeypatch.setenv(name, value)
    server, second = Postgres(home), Postgres(home)

    server.start()
    port = server.port
    server.ensure_database("moorage", "a password", "moorage")
    second.start()

    assert (home / "postgres.port").read_text() == f"{port}\n"
    monkeypatch.undo()
    assert connect(home, "moorage", "a password", "moorage") == "moorage"
    second.stop()


def test_a_port_file_that_is_wrong_does_not_hide_a_server_that_runs(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()
    port = server.port
    (used_home / "postgres.port").write_text("1\n")

    other = Postgres(used_home)
    other.start()

    assert other.port == port
    assert execute(used_home, "SELECT 42") == 42
    other.stop()


def connect(home: Path, user: str, password: str, database: str) -> Any:
    """The name of whoever is let in by the port."""

    async def ask() -> Any:
        connection: asyncpg.Connection = await asyncpg.connect(
            host="127.0.0.1",
            port=Postgres(home).port,
            user=user,
            password=password,
            database=database,
        )
        try:
            return await connection.fetchval("SELECT current_user")
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_nobody_comes_in_by_the_port_without_the_password(used_home: Path) -> None:
    password = 'it\'s a \\ "hard" one'
    server = Postgres(used_home)
    server.start()
    server.ensure_database("moorage", password, "moorage")

    assert connect(used_home, "moorage", password, "moorage") == "moorage"
    for user, wrong in (("moorage", ""), ("moorage", "other"), ("postgres", "")):
        with pytest.raises(asyncpg.InvalidPasswordError):
            connect(used_home, user, wrong, "postgres")


def test_the_port_listens_on_this_machine_alone(used_home: Path) -> None:
    Postgres(used_home).start()

    assert execute(used_home, "SHOW listen_addresses") == "127.0.0.1"


def test_a_new_password_takes_the_place_of_the_old_and_the_data_stays(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()
    server.ensure_database("moorage", "first", "moorage")
    port = server.port
    server.stop()
    server.start()
    server.ensure_database("moorage", "second", "moorage")

    assert server.port == port
    assert connect(used_home, "moorage", "second", "moorage") == "moorage"
    with pytest.raises(asyncpg.InvalidPasswordError):
        connect(used_home, "moorage", "first", "moorage")


def test_a_port_that_is_taken_is_another_one(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()
    server.stop()
    taken = server.port
    with socket.create_server(("127.0.0.1", taken)):
        server.start()

    assert server.port != taken
    assert execute(used_home, "SELECT 42") == 42


def test_a_socket_folder_of_somebody_else_is_not_used(home: Path) -> None:
    deep = home / ("x" * 100)
    server = Postgres(deep)
    server.socket_folder.mkdir(mode=0o777)
    server.socket_folder.chmod(0o777)

    try:
        with pytest.raises(OperatorError, match="but not as a private folder of user"):
            server.start()
    finally:
        server.socket_folder.rmdir()


def test_nobody_but_its_owner_can_open_the_data(home: Path) -> None:
    home.mkdir()
    home.chmod(0o777)  # as an earlier release, or a careless umask, has left it
    Postgres(home).start()

    assert (home / "postgres").stat().st_mode & 0o077 == 0
    assert home.stat().st_mode & 0o067 == 0  # to pass through, for a group of Postgres's own


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone needs another user for Postgres")
@pytest.mark.parametrize("name", ["data", "x" * 100], ids=["beside the data", "in /tmp"])
def test_other_programs_of_its_user_do_not_come_in_by_the_socket(home: Path, name: str) -> None:
    """Postgres is "nobody" where the operator is root, and so are others' programs."""
    new_home(home / name)
    server = Postgres(home / name)
    server.start()
    socket_file = server.socket_folder / f".s.PGSQL.{server.port}"
    code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    command = [python, "-I", "-c", code, str(socket_file)]

    tried = subprocess.run(
        command, cwd="/", user=65534, group=65534, extra_groups=[], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    server.stop()

    assert "PermissionError" in tried.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone needs another user for Postgres")
def test_folders_above_the_data_are_opened_to_pass_through_only(home: Path) -> None:
    private = home.parent / "private"
    private.mkdir(mode=0o700)
    server = Postgres(private / "data")

    opened = server.start()
    server.stop()

    assert private in opened
    assert private.stat().st_mode & 0o777 == 0o701
