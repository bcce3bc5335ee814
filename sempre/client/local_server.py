"""The local server, for those who named no API: found if it runs, started if it does not."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sempre.client.errors import LocalServerError
from sempre.settings import ClientSettings

__all__ = ["with_api"]

_HOST = "127.0.0.1"
_PORT = 4200
_POLL_SECONDS = 0.1
_PROBE_SECONDS = 5.0
_HERE = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy leads to this machine

_known: dict[Path, str] = {}
"""What this process has found, by home: it is looked for once."""


async def with_api(settings: ClientSettings) -> ClientSettings:
    """The same settings with an address. Raises LocalServerError without one to be had."""
    if settings.api.url is not None:
        return settings
    if not settings.local_server.enabled:
        raise LocalServerError(
            "No API is configured and no local server may be started. Set SEMPRE_API_URL, for instance to "
            "http://127.0.0.1:4200/api, or SEMPRE_SERVER_EPHEMERAL_ENABLED=true."
        )
    url = _known.get(settings.home)
    if url is None:
        url = _known[settings.home] = await asyncio.to_thread(_found_or_started, settings)
    return dataclasses.replace(settings, api=dataclasses.replace(settings.api, url=url))


def _found_or_started(settings: ClientSettings) -> str:
    """Several processes that come here at once wait for each other at a lock, and end up with one server."""
    settings.home.mkdir(parents=True, exist_ok=True)
    note = settings.home / "local-server.json"
    if (url := _running(settings.home, note)) and _is_ready(url):
        return url
    deadline = time.monotonic() + settings.local_server.startup_timeout_seconds
    with _locked(settings.home / "local-server.lock", deadline):
        if (url := _running(settings.home, note)) and _await_ready(url, deadline):
            return url
        return _start(settings, note, deadline)


def _start(settings: ClientSettings, note: Path, deadline: float) -> str:
    port = _free_port()
    url = f"http://{_HOST}:{port}/api"
    environment = os.environ | {"SEMPRE_HOME": str(settings.home), "SEMPRE_SERVER_API_BASE_PATH": "/api"}
    command = [sys.executable, "-m", "sempre", "server", "start", "--background", "--host", _HOST, "--port", str(port)]
    try:
        done = subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, check=False,
            timeout=max(1.0, deadline - time.monotonic()), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise LocalServerError(
            f"The local server was not ready after {settings.local_server.startup_timeout_seconds:g} s. See server.log "
            f"in {settings.home}, or raise SEMPRE_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS."
        ) from None
    while not _is_ready(url):
        if done.returncode != 0 or time.monotonic() > deadline:
            raise LocalServerError(
                "No API is configured, and the local server did not start. Set SEMPRE_API_URL to use another one. "
                f"It said:\n{(done.stderr or done.stdout).strip()[-2000:]}"
            )
        time.sleep(_POLL_SECONDS)
    _write(note, json.dumps({"url": url, "pid": _pid(settings.home)}))
    return url


def _running(home: Path, note: Path) -> str | None:
    """Address of the server that runs in the background of this home; None when there is none."""
    pid = _pid(home)
    if pid is None:
        return None
    try:
        noted = json.loads(note.read_text())
        if noted["pid"] == pid:
            return str(noted["url"])
    except (OSError, ValueError, KeyError):
        pass
    # Started by hand: its command line says where it listens.
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        words = []
    port = words[words.index("--port") + 1] if "--port" in words[:-1] else None
    return f"http://{_HOST}:{port or os.environ.get('SEMPRE_SERVER_API_PORT') or _PORT}/api"


def _pid(home: Path) -> int | None:
    """The process of the server in the background, if it lives."""
    try:
        pid = int((home / "server.pid").read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def _await_ready(url: str, deadline: float) -> bool:
    while not (ready := _is_ready(url)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return ready


def _write(note: Path, text: str) -> None:
    temporary = note.with_suffix(f".{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(note)


def _is_ready(url: str) -> bool:
    try:
        with _HERE.open(f"{url}/ready", timeout=_PROBE_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def _free_port() -> int:
    """The usual port if nobody has it, else any."""
    for port in (_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LocalServerError("The local server found no free port.")


@contextmanager
def _locked(path: Path, deadline: float) -> Iterator[None]:
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LocalServerError(
                        f"Another process has been starting the local server for too long. See server.log in "
                        f"{path.parent}."
                    ) from None
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
