"""Whose keys these are. Two installations that share a Redis must not hear each other, and above all not read each
other's events."""

from sempre.db.pool import Database

__all__ = ["Installation"]

_NAME = """
WITH made AS (
    INSERT INTO configuration (workspace_id, key, value)
    VALUES ('00000000-0000-0000-0000-000000000000', 'installation', to_jsonb(gen_random_uuid()))
    ON CONFLICT DO NOTHING RETURNING value
), known AS (
    SELECT value FROM made UNION ALL
    SELECT value FROM configuration
    WHERE workspace_id = '00000000-0000-0000-0000-000000000000' AND key = 'installation'
)
SELECT concat_ws(':', (SELECT value #>> '{}' FROM known LIMIT 1), d.oid)
FROM pg_database d WHERE d.datname = current_database() AND EXISTS (SELECT FROM known)
"""

_SEALS = """
WITH made AS (
    INSERT INTO configuration (workspace_id, key, value) VALUES (
        '00000000-0000-0000-0000-000000000000', 'installation_secret',
        to_jsonb(concat(gen_random_uuid(), gen_random_uuid()))
    ) ON CONFLICT DO NOTHING RETURNING value
)
SELECT value #>> '{}' FROM made UNION ALL
SELECT value #>> '{}' FROM configuration
WHERE workspace_id = '00000000-0000-0000-0000-000000000000' AND key = 'installation_secret'
"""


class Installation:
    """Names keys after the database: by a row that is made once, and by what copies of that row cannot share."""

    def __init__(self, db: Database, prefix: str) -> None:
        self._db = db
        self._prefix = prefix
        self._name: str | None = None
        self._secret: bytes | None = None

    async def key(self, name: str) -> str:
        """The full name of a key. Raises DatabaseUnavailable as long as the database was never seen with its schema."""
        while self._name is None:
            self._name = await self._db.fetchval(_NAME)  # nothing when another has just made the row
        return f"{self._prefix}:{self._name}:{name}"

    async def secret(self) -> bytes:
        """What only the servers of the installation know: enough to tell their values from those of others who can
        write to Redis. Raises as ``key`` does."""
        while self._secret is None:
            found = await self._db.fetchval(_SEALS)  # as above
            self._secret = found.encode() if found else None
        return self._secret
