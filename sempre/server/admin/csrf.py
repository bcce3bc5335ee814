"""CSRF tokens: one per client, valid on every replica because they live in the database."""

import hmac
import secrets
from typing import Any

from sempre.db.pool import Executor, Record
from sempre.server.ids import new_id
from sempre.server.scope import Scope

__all__ = ["csrf_check", "issue_token"]


async def issue_token(db: Executor, client: str, lifetime_seconds: float) -> Record:
    """A new token for ``client``; its former one and everybody's expired ones are gone."""
    row = await db.fetchrow(
        """
        WITH purged AS (DELETE FROM csrf_token WHERE expiration < now() AND client <> $1)
        INSERT INTO csrf_token (id, client, token, expiration)
        VALUES ($2, $1, $3, now() + make_interval(secs => $4))
        ON CONFLICT (client) DO UPDATE SET
            token = excluded.token, expiration = excluded.expiration, updated = now()
        RETURNING id, created, updated, token, client, expiration
        """,
        client,
        new_id(),
        secrets.token_hex(32),
        lifetime_seconds,
    )
    assert row is not None
    return row


async def csrf_check(app_state: Any, token: str, client: str) -> bool:
    """Whether ``token`` is the live token of ``client``."""
    if "\x00" in client:
        return False  # no text that Postgres knows
    scope: Scope = app_state.scope
    stored = await scope.db.fetchval("SELECT token FROM csrf_token WHERE client = $1 AND expiration > now()", client)
    return stored is not None and hmac.compare_digest(stored.encode(), token.encode())
