"""The HTTP server of an API process, from its first request to an end that nobody notices.

After the first stop signal it goes on serving for the drain delay, telling every client to connect elsewhere next time
(``Connection: close``). Then it listens no more, hears out who had connected already, closes websockets with 1012 and
waits for requests in flight, at most for the grace period.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator

import uvicorn

from sempre.server.signals import end_within, handling_signals

_CLOSE = (b"connection", b"close")
_TICK_SECONDS = 0.02
# What has connected sends its first request by then: closed before, it would be a handshake that fails, and clients of
# the protocol do not repeat the upgrade to a websocket after one.
_NEWCOMER_TICKS = 25
_HURRY_SECONDS = 2.0


class ApiServer(uvicorn.Server):
    """uvicorn's server, with signals that drain first and an exit code of 0 after an orderly stop.

    ``on_drain`` is called at the first signal, ``on_started`` once requests are answered.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain_seconds: float,
        on_drain: Callable[[], None],
        on_started: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain
        self._on_started = on_started
        self._signals = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self.server_state.leaving = True  # type: ignore[attr-defined]  # websockets look at it
        for _ in range(_NEWCOMER_TICKS):
            if not self._has_newcomers() or self.force_exit:
                break
            await asyncio.sleep(_TICK_SECONDS)
        await super().shutdown(sockets)

    def _has_newcomers(self) -> bool:
        """Whether somebody is connected whose first request is still to come."""
        return any(getattr(each, "cycle", each) is None for each in self.server_state.connections)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with handling_signals(self._signalled):
            yield

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self._tell_clients()
            self._on_drain()
            asyncio.get_running_loop().call_later(self._drain_seconds, self._exit)
        elif self._signals == 2:
            self.force_exit = True
            self._exit()
            end_within(_HURRY_SECONDS, "a second signal asked for an end at once")
        else:
            os._exit(1)

    def _tell_clients(self) -> None:
        self.config.encoded_headers.append(_CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]

    def _exit(self) -> None:
        self.should_exit = True
