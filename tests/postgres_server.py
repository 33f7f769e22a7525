"""A PostgreSQL server for tests, made of the programs that Debian installs: throwaway, on a socket in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from wellhead.processes import ManagedProcess

START_SECONDS = 60
DEBIAN = Path("/usr/lib/postgresql")
USER = "postgres"  # who runs it where we are root, as it refuses to be


class PostgresServer(NamedTuple):
    """A running server. Whoever can open its folder is its superuser."""

    folder: Path

    def create_database(self, name: str) -> str:
        """Its URL, as SQLAlchemy writes it."""
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return f"postgresql+psycopg://{USER}@/{name}?host={self.folder}"

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self.folder), user=USER, dbname="postgres", autocommit=True)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server with nothing in it. Fails the test, and says why, if its programs are not installed."""
    programs = _programs()
    # Not in pytest's folder, which only its own user may enter; short, as a socket's path has to be.
    folder = Path(tempfile.mkdtemp(prefix="wellhead-postgres-"))
    try:
        lowered = _lower_ourselves(folder)
        data = folder / "data"
        made = subprocess.run(
            [*lowered, programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"],
            capture_output=True,
            text=True,
            cwd="/",
        )
        if made.returncode != 0:
            pytest.fail(f"no PostgreSQL could be made:\n{made.stdout}{made.stderr}")
        # Its end is ours: what is on its disk need not survive it.
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        server = ManagedProcess(
            [*lowered, str(programs / "postgres"), "-D", str(data), *options], folder / "log"
        )
        try:
            yield _when_ready(server, PostgresServer(folder))
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    versions = [int(found.name) for found in DEBIAN.glob("*") if found.name.isdecimal()]
    for version in sorted(versions, reverse=True):
        if (DEBIAN / str(version) / "bin" / "initdb").exists():
            return DEBIAN / str(version) / "bin"
    found = shutil.which("initdb")
    if found is None:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql", pytrace=False)
    return Path(found).resolve().parent


def _lower_ourselves(folder: Path) -> list[str]:
    """What to begin a command with so that root does not run it; the folder is made that user's."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, USER, USER)
    # Whatever becomes of its supervisor, it ends: the wish to die with one's parent is lost with root's rights.
    end = ["--pdeathsig", "INT"]
    return ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", *end, "--"]


def _when_ready(process: ManagedProcess, server: PostgresServer) -> PostgresServer:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.connect().close()
            return server
        except psycopg.OperationalError:
            if not process.running or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start:\n{process.log_tail()}")
            time.sleep(0.02)  # it tells nobody when it is ready
