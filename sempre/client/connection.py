"""Where a client's calls go: which API, with how much patience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sempre.client import backstage
from sempre.client.local_server import with_api
from sempre.client.transport import Answer, Transport, rules_of, transport_of
from sempre.settings import ClientSettings, get_current_settings

__all__ = ["Connection"]


class Connection:
    """The API of these settings, or the local server if they name none. Usable from any loop and any thread."""

    def __init__(self, settings: ClientSettings | None = None, *, patience: float | None = None) -> None:
        self._given = settings or get_current_settings()
        self._patience = patience
        self._settings: ClientSettings | None = None

    @property
    def settings(self) -> ClientSettings:
        """The settings in use. Their address is that of the local server once a call was made to it."""
        return self._settings or self._given

    async def request(
        self, method: str, path: str, content: bytes | None = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """One call. Raises ApiRefused, ApiUnreachable or LocalServerError."""
        return await backstage.arun(self._request(method, path, content, params))

    def request_now(
        self, method: str, path: str, content: bytes | None = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """The same for a caller that waits. Fine inside a running loop, which is held up meanwhile."""
        return backstage.run(self._request(method, path, content, params))

    async def transport(self) -> Transport:
        """The transport of these settings; starts the local server if need be. Backstage only."""
        if self._settings is None:
            self._settings = await with_api(self._given)
        return transport_of(self._settings)

    async def _request(self, method: str, path: str, content: bytes | None, params: Mapping[str, Any] | None) -> Answer:
        transport = await self.transport()
        return await transport.request(rules_of(transport.settings, self._patience), method, path, content, params)
