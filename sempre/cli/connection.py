"""Which API a command asks: what the settings in force say, else the local server that they would start."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sempre.cli.ending import at_end
from sempre.cli.rest import PATIENCE_SECONDS, Api, Target
from sempre.client.headers import common_headers, tls_context, websocket_token
from sempre.core.retrying import RetryRules

if TYPE_CHECKING:
    from sempre.settings.client import ClientSettings


def client_settings() -> ClientSettings:
    """The settings in force for whatever calls the API. Raises SettingsError naming every bad value."""
    from sempre.settings.client import resolve_client_settings

    return resolve_client_settings().settings


def open_api(profile: str | None = None) -> Api:
    """The API of the active profile and the environment; with a name, the one of that profile alone."""
    from sempre.settings.client import resolve_client_settings

    resolution = resolve_client_settings(env=_only_profile(profile) if profile else None)
    patience = resolution.settings.client.patience_seconds
    if "client.patience_seconds" not in resolution.sources:
        patience = PATIENCE_SECONDS
    return opened(target_of(resolution.settings, patience))


def opened(target: Target) -> Api:
    """An API whose connections are closed when the command ends."""
    api = Api(target)
    at_end(api.close)
    return api


def _only_profile(profile: str) -> dict[str, str]:
    """The environment without what it says about APIs."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SEMPRE_API_", "PREFECT_API_"))}
    return {**kept, "SEMPRE_PROFILE": profile}


def target_of(settings: ClientSettings, patience: float = PATIENCE_SECONDS) -> Target:
    """Address, credentials and certificates, as the settings have them."""
    url = settings.api.url or _started_for_scripts(settings.home) or _local_api()
    return Target(
        url=url,
        headers=common_headers(settings),
        timeout=settings.api.request_timeout_seconds,
        rules=RetryRules(
            patience=patience,
            extra_codes=frozenset(settings.client.retry_extra_codes),
            heed_maintenance=False,
        ),
        tls=tls_context(settings) if url.startswith("https:") else None,
        token=websocket_token(settings),
    )


def _started_for_scripts(home: Path) -> str | None:
    """The local server that a script without a configured API has started, if it runs still."""
    try:
        note = json.loads((home / "local-server.json").read_text())
        os.kill(note["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    return str(note["url"])


@lru_cache(maxsize=1)
def _local_api() -> str:
    # The server's settings are read only where none say which API to ask.
    from sempre.cli.glance import local_api
    from sempre.server.settings import load_settings

    return local_api(load_settings())


def ui_url(settings: ClientSettings, api: str) -> str:
    """The UI beside an API, unless the settings say where it is."""
    return (settings.ui_url or api.removesuffix("/").removesuffix("/api")).rstrip("/")
