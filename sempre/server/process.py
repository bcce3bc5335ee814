"""One server process: its socket, its database, its signals, its end.

Exit codes: 0 stopped as asked, 1 cannot listen, 3 start-up failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import importlib
import importlib.util
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from sempre.db.embedded import EmbeddedPostgres, EmbeddedPostgresError, start_embedded
from sempre.server.api_server import ApiServer
from sempre.server.settings import Settings
from sempre.server.signals import end_within, handling_signals

logger = logging.getLogger("sempre.server.process")

STARTUP_FAILED = 3
_FALLBACK_WEBSOCKETS = "websockets-sansio"
_EMBEDDED_WATCH_SECONDS = 1.0
# After requests and rounds have ended or were cut: to write taken-in events, hand back claims, close connections.
LAST_SECONDS = 10.0


class ListenError(RuntimeError):
    """The address cannot be listened on. The message says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ListenError when the host is no address of this machine or the port is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ListenError(
            f"Invalid host {host!r}: {error.strerror}. Use 127.0.0.1, 0.0.0.0 or a name of this machine"
        ) from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Listening begins here and not in the server, so that a second process fails at once, not after its start-up.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ListenError(_listen_problem(host, port, error)) from None
    listener.setblocking(False)
    return listener


def _listen_problem(host: str, port: int, error: OSError) -> str:
    if error.errno == 98 or "in use" in str(error).lower():
        return (
            f"Port {port} on {host} is already in use, perhaps by another `sempre server start`. Stop it "
            "(`sempre server stop` if it runs in the background) or choose another port: --port, SEMPRE_SERVER_API_PORT"
        )
    if isinstance(error, PermissionError):
        return f"Port {port} may not be opened by this user; choose one above 1023 with --port"
    return f"Invalid host {host!r}: {error.strerror}. Use 127.0.0.1, 0.0.0.0 or an address of this machine"


@contextlib.contextmanager
def with_database(settings: Settings) -> Iterator[Settings]:
    """Settings that name a database: the configured one, or the embedded one, started and watched meanwhile.

    Raises EmbeddedPostgresError.
    """
    if settings.database.connection_url is not None:
        yield settings
        return
    with start_embedded(settings.home) as share:
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(share, ended), name="embedded-postgres", daemon=True)
        watcher.start()
        try:
            yield dataclasses.replace(
                settings, database=dataclasses.replace(settings.database, connection_url=share.dsn)
            )
        finally:
            ended.set()
            watcher.join()


def _watch(share: EmbeddedPostgres, ended: threading.Event) -> None:
    """Bring the embedded server back if it dies under us."""
    while not ended.wait(_EMBEDDED_WATCH_SECONDS):
        try:
            if share.ensure_running():
                logger.warning("the embedded Postgres had stopped and was started again")
        except (EmbeddedPostgresError, OSError) as error:
            logger.error("the embedded Postgres is down and does not start: %s", error)


def configure_logging(settings: Settings) -> None:
    """Log to standard error at the configured level."""
    level = "DEBUG" if settings.debug_mode else settings.logging.level
    logging.basicConfig(
        level=level, format="%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s | %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


def serve_api(
    settings: Settings, listener: socket.socket, *, services: bool, started: Callable[[], None] | None = None
) -> int:
    """Serve the API on a bound socket until a signal; returns the exit code. `settings` must name a database.

    `started` is called once requests are answered. First signal: drain, finish requests in flight, stop. Second:
    stop without waiting. Third: exit at once.
    """
    app: list[Any] = []
    deadlines: list[threading.Timer] = []

    def factory() -> Any:
        module: Any = importlib.import_module("sempre.server.app")
        app.append(module.create_app(settings, services=services))
        _settle_garbage_collection()
        return app[0]

    def draining() -> None:
        deadlines.append(end_within(_longest_stop(settings, services=services), "it was asked to stop"))
        for one in app:
            one.state.draining = True  # /ready answers 503 from here on
            if begun := getattr(one.state, "stop_begun", None):
                begun.set()

    server = ApiServer(
        _uvicorn_config(settings, factory),
        drain_seconds=settings.api.shutdown_drain_seconds,
        on_drain=draining,
        on_started=started,
    )
    try:
        server.run(sockets=[listener])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else STARTUP_FAILED
    except Exception:
        logger.exception("the API ended with an error")
        return 1 if server.started else STARTUP_FAILED
    finally:
        for deadline in deadlines:
            deadline.cancel()
    if any(getattr(one.state, "failed", False) for one in app):
        return 1  # it ended because one of its services keeps dying
    return 0 if server.started or server.should_exit else STARTUP_FAILED


def _longest_stop(settings: Settings, *, services: bool) -> float:
    """Services begin to stop with the first signal, beside the API."""
    api = settings.api.shutdown_drain_seconds + settings.api.shutdown_grace_seconds
    return max(api, settings.services.drain_seconds if services else 0.0) + LAST_SECONDS


def _settle_garbage_collection() -> None:
    """Never look again at what start-up made, and rarely at what requests make: nearly all of it is freed at once."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _uvicorn_config(settings: Settings, factory: Callable[[], Any]) -> uvicorn.Config:
    api = settings.api
    return uvicorn.Config(
        factory,
        factory=True,
        loop="uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
        http="httptools" if importlib.util.find_spec("httptools") else "h11",
        ws=websocket_protocol(api.websocket_protocol),
        ws_ping_interval=api.websocket_ping_interval_seconds,
        ws_ping_timeout=api.websocket_ping_timeout_seconds,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=api.forwarded_allow_ips,
        timeout_keep_alive=max(1, round(api.keepalive_timeout_seconds)),
        timeout_graceful_shutdown=max(1, round(api.shutdown_grace_seconds)),
    )


def websocket_protocol(name: str) -> str:
    """The configured protocol class, or a standard one while its module is not installed."""
    module, separator, _ = name.partition(":")
    if not separator:
        return name
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    return name if found else _FALLBACK_WEBSOCKETS


def serve_services(settings: Settings, started: Callable[[], None] | None = None) -> int:
    """Run the background services until a signal; returns the exit code. `settings` must name a database.

    First signal: the services end their rounds, or are cut, and hand back what they hold. Second: exit at once.
    """
    try:
        uvloop: Any = importlib.import_module("uvloop")
        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ModuleNotFoundError:
        factory = None
    deadlines: list[threading.Timer] = []
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(_services(settings, started, deadlines))
    finally:
        for deadline in deadlines:  # what was left when the loop closed has ended, too
            deadline.cancel()


async def _services(settings: Settings, started: Callable[[], None] | None, deadlines: list[threading.Timer]) -> int:
    """``deadlines``: takes the timers that hold this process to its end once it was asked to stop."""
    supervisor: Any = importlib.import_module("sempre.server.services.supervisor")
    running: asyncio.Task[None] = asyncio.ensure_future(supervisor.run_services(settings))

    def signalled() -> None:
        if deadlines:
            os._exit(1)
        deadlines.append(end_within(settings.services.drain_seconds + LAST_SECONDS, "it was asked to stop"))
        running.cancel()

    with handling_signals(signalled):
        if started:
            started()
        await asyncio.wait({running})
    if running.cancelled() or (deadlines and running.exception() is None):
        return 0
    if failure := running.exception():
        logger.error("the background services failed", exc_info=failure)
        return STARTUP_FAILED
    return 0


def say(text: str) -> None:
    """A line for the person who started the process."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
