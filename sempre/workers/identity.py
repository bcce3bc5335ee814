"""Who a worker is: its name, the id of its process, and how calls say both."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path
from uuid import UUID

from sempre.sdk.serving.player_folder import PlayerFolder
from sempre.settings import ClientSettings

__all__ = ["default_name", "folder_root", "identified"]


def identified(settings: ClientSettings, name: str, id: UUID | str) -> ClientSettings:
    """Settings with which every call says on whose behalf it is made: by that the server knows who claimed a run."""
    headers = {"X-Prefect-Worker-Name": name.encode("ascii", "ignore").decode(), "X-Prefect-Worker-Id": str(id)}
    client = dataclasses.replace(settings.client, custom_headers={**settings.client.custom_headers, **headers})
    return dataclasses.replace(settings, client=client)


def folder_root(settings: ClientSettings, pool_name: str, name: str) -> Path:
    """Where workers of this name keep their notes."""
    return PlayerFolder.root_of(settings.home, "workers", pool_name, name)


def default_name(settings: ClientSettings, type: str, pool_name: str) -> str:
    """A name that is the same after a restart on this machine, so that the worker finds what it started before; with a
    number if another one of it is at work here."""
    base = f"{type.title()}Worker {socket.gethostname()}"
    names = (base if number == 1 else f"{base} {number}" for number in range(1, 10_000))
    return next(name for name in names if not PlayerFolder.is_taken(folder_root(settings, pool_name, name)))
