"""What every request handler and service works in: one process's resources, narrowed to one workspace."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request

from sempre.core.states import Claimant
from sempre.db.pool import Database
from sempre.server.feed.doorbell import Doorbell
from sempre.server.recall import Recall
from sempre.server.redis.installation import Installation
from sempre.server.redis.roles import RedisRoles
from sempre.server.settings import Settings

__all__ = ["DEFAULT_WORKSPACE", "Client", "Scope", "ScopeDep", "request_scope", "scope_of"]

DEFAULT_WORKSPACE = UUID(int=0)

_USER_AGENT = re.compile(r"prefect/([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})((?:[a-z.+0-9]+)?) \(API \S+\)")
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})")

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Client:
    """Who is asking, as far as it changes an answer."""

    version: Version | None = None  # of a stock client, from its User-Agent
    version_text: str | None = None
    api_version: Version | None = None  # None = newest
    worker: Claimant | None = None  # the worker that asks, or on whose behalf a run's process does

    @classmethod
    def of(
        cls,
        user_agent: str | None,
        api_version: str | None,
        worker_name: str | None = None,
        worker_id: str | None = None,
    ) -> "Client":
        version = version_text = None
        if user_agent and (match := _USER_AGENT.fullmatch(user_agent)):
            version = (int(match[1]), int(match[2]), int(match[3]))
            version_text = f"{match[1]}.{match[2]}.{match[3]}{match[4]}"
        asked = _VERSION.fullmatch(api_version) if api_version else None
        newest_or_asked = (int(asked[1]), int(asked[2]), int(asked[3])) if asked else None
        worker = Claimant(worker_name, worker_id) if worker_name or worker_id else None
        return cls(version, version_text, newest_or_asked, worker)


@dataclass(frozen=True, slots=True)
class Scope:
    """The workspace a request acts in, and what it acts with. Every query takes its ``workspace_id``."""

    db: Database
    settings: Settings
    doorbell: Doorbell
    workspace_id: UUID = DEFAULT_WORKSPACE
    client: Client = field(default_factory=Client)
    recall: Recall = field(default_factory=Recall)
    created_by: dict[str, Any] | None = None  # the automation that acts, if one does
    redis: RedisRoles = field(default_factory=RedisRoles)
    installation: Installation | None = None  # names the keys in Redis


def scope_of(app_state: Any) -> Scope:
    """The open mode's scope, for services and websockets: the default workspace."""
    scope: Scope = app_state.scope
    return scope


async def request_scope(request: Request) -> Scope:
    base: Scope = request.app.state.scope
    headers = request.headers
    client = Client.of(
        headers.get("user-agent"),
        headers.get("x-prefect-api-version"),
        headers.get("x-prefect-worker-name"),
        headers.get("x-prefect-worker-id"),
    )
    return Scope(base.db, base.settings, base.doorbell, base.workspace_id, client, base.recall, redis=base.redis)


ScopeDep = Annotated[Scope, Depends(request_scope)]
