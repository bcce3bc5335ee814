"""Block data at rest: encrypted with one Fernet key, the operator's or one made on first use."""

import json
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken

from sempre.db.pool import Executor
from sempre.server.errors import ServiceError
from sempre.server.responses import dumps
from sempre.server.scope import Scope

__all__ = ["Cipher", "cipher_of"]

_KEY = "ENCRYPTION_KEY"


class Cipher:
    """Data of blocks to text and back. The key shows nowhere, not in errors either."""

    def __init__(self, key: str) -> None:
        try:
            self._fernet = Fernet(key)
        except ValueError:
            raise ServiceError(
                "The encryption key is no Fernet key. Set SEMPRE_SERVER_ENCRYPTION_KEY to 32 bytes in URL-safe base64."
            ) from None

    def encrypt(self, data: dict[str, Any]) -> str:
        return self._fernet.encrypt(dumps(data)).decode()

    def decrypt(self, text: str, document_id: UUID) -> dict[str, Any]:
        try:
            data: dict[str, Any] = json.loads(self._fernet.decrypt(text.encode()))
        except InvalidToken:
            raise ServiceError(
                f"The data of block document {document_id} was encrypted with another key than this server has."
            ) from None
        return data


async def cipher_of(scope: Scope) -> Cipher:
    """The configured key's, else that of the key kept in the database, made by whoever needs it first."""
    if scope.settings.encryption_key:
        return Cipher(scope.settings.encryption_key)
    stored = await _stored_key(scope.db, scope.workspace_id)
    if stored is None:
        await _offer_key(scope.db, scope.workspace_id, Fernet.generate_key().decode())
        stored = await _stored_key(scope.db, scope.workspace_id)
    assert stored is not None
    return Cipher(stored)


async def _stored_key(db: Executor, workspace_id: UUID) -> str | None:
    key: str | None = await db.fetchval(
        "SELECT value->>'fernet_key' FROM configuration WHERE workspace_id = $1 AND key = $2", workspace_id, _KEY
    )
    return key


async def _offer_key(db: Executor, workspace_id: UUID, key: str) -> None:
    """Store ``key`` unless another process was first; the first one counts."""
    await db.execute(
        "INSERT INTO configuration (workspace_id, key, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        workspace_id,
        _KEY,
        {"fernet_key": key},
    )
