"""The real surroundings of runs: the client's backstage asks, ships, beats and listens."""

from __future__ import annotations

import threading
from typing import Any

from sempre.client import backstage, shipping
from sempre.sdk.api import ClientOrchestrator
from sempre.sdk.engine.effects import Request
from sempre.sdk.engine.watching import RunWatch
from sempre.sdk.runs import FlowRun
from sempre.settings import get_current_settings

__all__ = ["BackstageWorld"]


class BackstageWorld:
    """One for each API that this process talks to; that is one, but for `temporary_settings`."""

    def __init__(self) -> None:
        self._apis: dict[tuple[Any, ...], tuple[ClientOrchestrator, Any]] = {}
        self._lock = threading.Lock()
        backstage.after_fork.append(self._forget)

    def emit(self, event: dict[str, Any]) -> None:
        self._here()[1].event(event)

    def log(self, line: dict[str, Any]) -> None:
        self._here()[1].log(line)

    def ask(self, request: Request) -> Any:
        return backstage.run(request.of(self.api))

    async def aask(self, request: Request) -> Any:
        return await backstage.arun(request.of(self.api))

    def watch(self, run: FlowRun, flow_name: str) -> RunWatch:
        return RunWatch(run, flow_name, self.api, self.emit, get_current_settings().flows.heartbeat_frequency)

    @property
    def api(self) -> ClientOrchestrator:
        return self._here()[0]

    def _here(self) -> tuple[ClientOrchestrator, Any]:
        settings = get_current_settings()
        key = (settings.api, settings.home)
        found = self._apis.get(key)
        if found is None:
            with self._lock:
                found = self._apis.setdefault(key, (ClientOrchestrator(), shipping.current(settings)))
        return found

    def _forget(self) -> None:
        """Nothing of the parent's is used in a forked child."""
        self._lock = threading.Lock()
        self._apis.clear()
