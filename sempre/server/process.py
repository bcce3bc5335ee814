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
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from sempre.db.embedded import EmbeddedPostgres, EmbeddedPostgresError, start_embedded
from sempre.server.settings import Settings

logger = logging.getLogger("sempre.server.process")

STARTUP_FAILED = 3
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_FALLBACK_WEBSOCKETS = "websockets-sansio"
_EMBEDDED_WATCH_SECONDS = 1.0
_ONE_REQUEST_SECONDS = 0.5


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

    def factory() -> Any:
        module: Any = importlib.import_module("sempre.server.app")
        app.append(module.create_app(settings, services=services))
        _settle_garbage_collection()
        return app[0]

    def draining() -> None:
        for one in app:
            one.state.draining = True  # /ready answers 503 from here on

    server = _Server(_uvicorn_config(settings, factory), draining, settings.api.shutdown_drain_seconds, started)
    try:
        server.run(sockets=[listener])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else STARTUP_FAILED
    except Exception:
        logger.exception("the API ended with an error")
        return 1 if server.started else STARTUP_FAILED
    return 0 if server.started or server.should_exit else STARTUP_FAILED


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


class _Server(uvicorn.Server):
    """uvicorn's server, with signals that drain first and an exit code of 0 after an orderly stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        draining: Callable[[], None],
        drain_seconds: float,
        on_started: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._draining = draining
        self._drain_seconds = drain_seconds
        self._on_started = on_started
        self._signals = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_started:
            self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with _handling_signals(self._signalled):
            yield

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self._draining()
            asyncio.get_running_loop().call_later(self._drain_seconds, self._exit)
        elif self._signals == 2:
            self.force_exit = True
            self._exit()
        else:
            os._exit(1)

    def _exit(self) -> None:
        self.should_exit = True


@contextlib.contextmanager
def _handling_signals(handler: Callable[[], None]) -> Iterator[None]:
    """Call `handler` when a stop signal asks to, unless this process ignores it (children of a supervisor: SIGINT).

    Service managers signal every process of a group, and our supervisor passes its signal on besides: what comes in
    one moment is one request to stop, and must not be taken for the impatience of a second one.
    """
    loop = asyncio.get_running_loop()
    last = -math.inf

    def asked() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _ONE_REQUEST_SECONDS:
            last = now
            handler()

    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in handled:
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def serve_services(settings: Settings, started: Callable[[], None] | None = None) -> int:
    """Run the background services until a signal; returns the exit code. `settings` must name a database.

    First signal: the services are cancelled and hand back what they hold. Second: exit at once.
    """
    try:
        uvloop: Any = importlib.import_module("uvloop")
        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ModuleNotFoundError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_services(settings, started))


async def _services(settings: Settings, started: Callable[[], None] | None) -> int:
    supervisor: Any = importlib.import_module("sempre.server.services.supervisor")
    running: asyncio.Task[None] = asyncio.ensure_future(supervisor.run_services(settings))
    stopping = False

    def signalled() -> None:
        nonlocal stopping
        if stopping:
            os._exit(1)
        stopping = True
        running.cancel()

    with _handling_signals(signalled):
        if started:
            started()
        await asyncio.wait({running})
    if running.cancelled() or (stopping and running.exception() is None):
        return 0
    if failure := running.exception():
        logger.error("the background services failed", exc_info=failure)
        return STARTUP_FAILED
    return 0


def stop_with_parent(parent_ended: Callable[[], object]) -> None:
    """End this process in order when `parent_ended` returns, which blocks until the parent is gone."""

    def follow() -> None:
        parent_ended()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="follow-parent", daemon=True).start()


def say(text: str) -> None:
    """A line for the person who started the process."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
