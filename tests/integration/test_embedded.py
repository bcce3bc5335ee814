"""The embedded Postgres: started once, shared, found again after kills, stopped by the last who leaves."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from sempre.db.embedded import EmbeddedPostgresError, embedded_is_running, start_embedded, stop_embedded
from tests.support.wait import eventually

NOBODY = 65534

# Becomes another user only after its imports: the interpreter itself may be out of that user's reach.
HOLD = """
import os, sys
from pathlib import Path
from sempre.db.embedded import start_embedded
if len(sys.argv) > 2:
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
share = start_embedded(Path(sys.argv[1]))
print(share.dsn, flush=True)
sys.stdin.readline()
print(share.release(), flush=True)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    # Short, unlike pytest's own, so that the socket is beside the data; open, so that other users reach it.
    directory = Path(tempfile.mkdtemp(prefix="sempre-emb-"))
    directory.chmod(0o755)
    yield directory
    stop_embedded(directory, force=True)
    shutil.rmtree(directory, ignore_errors=True)


def hold(home: Path, user: int | None = None) -> subprocess.Popen[str]:
    """A process, leader of its own group, that takes a share and keeps it until a line is written to it."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home), *([str(user)] if user else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline().strip()
    assert line, process.stderr.read()
    return line


def let_go(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate("\n", timeout=60)
    assert process.returncode == 0, err
    return out.strip()


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def postmaster_pid(home: Path) -> int:
    return int((home / "database" / "data" / "postmaster.pid").read_text().split()[0])


async def test_first_start_is_fast_and_the_second_finds_the_data(home: Path) -> None:
    started = time.monotonic()
    with start_embedded(home) as share:
        assert time.monotonic() - started < 60  # half a second on an idle machine
        assert await ask(share.dsn, "select current_setting('max_connections')") == "200"
        await ask(share.dsn, "create table kept as select 42 as n")
    assert not embedded_is_running(home)
    with start_embedded(home) as share:
        assert await ask(share.dsn, "select n from kept") == 42


async def test_the_environment_does_not_lead_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGDATABASE", "nothing")
    with start_embedded(home) as share:
        assert await ask(share.dsn, "select 1") == 1


async def test_processes_that_start_at_once_share_one_server(home: Path) -> None:
    holders = [hold(home) for _ in range(4)]
    assert len({said(holder) for holder in holders}) == 1
    stopped = [let_go(holder) for holder in holders]
    assert stopped == ["False", "False", "False", "True"]
    assert not embedded_is_running(home)


async def test_a_killed_parent_leaves_a_server_that_the_next_start_adopts(home: Path) -> None:
    first = hold(home)
    dsn = said(first)
    await ask(dsn, "create table kept as select 7 as n")
    pid = postmaster_pid(home)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert embedded_is_running(home)
    with start_embedded(home) as share:
        assert share.dsn == dsn
        assert postmaster_pid(home) == pid
        assert await ask(dsn, "select n from kept") == 7
    assert not embedded_is_running(home)


async def test_a_killed_server_comes_back(home: Path) -> None:
    with start_embedded(home) as share:
        assert share.ensure_running() is False
        os.kill(postmaster_pid(home), signal.SIGKILL)
        eventually(lambda: not embedded_is_running(home), "the server is gone")
        eventually(share.ensure_running, "started again")
        assert await ask(share.dsn, "select 1") == 1


async def test_a_pid_file_of_another_boot_is_no_obstacle(home: Path) -> None:
    with start_embedded(home):
        lines = (home / "database" / "data" / "postmaster.pid").read_text().splitlines()
    # The pid now belongs to somebody who is no Postgres: this very process.
    (home / "database" / "data" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with start_embedded(home) as share:
        assert await ask(share.dsn, "select 1") == 1


async def test_an_interrupted_first_start_is_made_again(home: Path) -> None:
    half = home / "database" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with start_embedded(home) as share:
        assert await ask(share.dsn, "select 1") == 1


async def test_a_deep_home_gets_a_short_socket(home: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    try:
        with start_embedded(deep) as share:
            assert str(deep) not in share.dsn
            assert await ask(share.dsn, "select 1") == 1
    finally:
        stop_embedded(deep, force=True)


def test_stop_leaves_a_used_server_alone_unless_forced(home: Path) -> None:
    assert stop_embedded(home) is False
    holder = hold(home)
    said(holder)
    assert stop_embedded(home) is False
    assert embedded_is_running(home)
    assert stop_embedded(home, force=True) is True
    assert let_go(holder) == "False"


def test_data_of_another_major_version_is_refused_with_what_to_do(home: Path) -> None:
    data = home / "database" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="was made by Postgres 16"):
        start_embedded(home)


def test_a_home_shared_with_another_container_is_refused(home: Path) -> None:
    with start_embedded(home):
        (home / "database" / "namespace").write_text("elsewhere pid:[1]")
        os.kill(postmaster_pid(home), signal.SIGKILL)
        eventually(lambda: not embedded_is_running(home), "the server is gone")
        with pytest.raises(EmbeddedPostgresError, match="another container"):
            start_embedded(home)


def test_a_home_that_cannot_be_written_says_what_to_set(home: Path) -> None:
    home.chmod(0o555)
    holder = hold(home, NOBODY if os.geteuid() == 0 else None)
    _, err = holder.communicate(timeout=60)
    home.chmod(0o755)
    assert holder.returncode != 0
    assert "Set SEMPRE_HOME to a writable directory" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become somebody else")
def test_root_and_an_ordinary_user_each_run_one(home: Path) -> None:
    with start_embedded(home / "root"):
        assert (home / "root" / "database" / "data").stat().st_uid != 0
    ordinary = home / "ordinary"
    ordinary.mkdir()
    os.chown(ordinary, NOBODY, NOBODY)
    holder = hold(ordinary, NOBODY)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(stop_embedded, ordinary, force=True)
        assert "ordinary" in said(holder)
        assert let_go(holder) == "True"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to another account")
def test_root_opens_the_way_without_opening_the_directories(home: Path) -> None:
    home.chmod(0o700)
    with start_embedded(home / "inner"):
        assert home.stat().st_mode & 0o777 == 0o701
