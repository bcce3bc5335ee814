"""Block data at rest: encrypted with one Fernet key, the operator's or one made on first use.

Keys that were in use before are accepted for reading: those the operator names, and the one in the database. Whatever
is written is written under the key of today.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken

from sempre.db.pool import Executor
from sempre.server.errors import ServiceError
from sempre.server.responses import dumps
from sempre.server.scope import Scope

__all__ = ["Cipher", "cipher_of"]

_KEY = "ENCRYPTION_KEY"
_SETTING, _OLD_SETTING = "SEMPRE_SERVER_ENCRYPTION_KEY", "SEMPRE_SERVER_ENCRYPTION_OLD_KEYS"


class Cipher:
    """Data of blocks to text, under ``key``, and back, also from under ``old_keys``.

    Keys show nowhere, not in errors either.
    """

    def __init__(self, key: str, old_keys: Sequence[str] = ()) -> None:
        self._fernet = _fernet(key, _SETTING)
        self._old = [_fernet(old, _OLD_SETTING) for old in old_keys]

    @property
    def has_old_keys(self) -> bool:
        return bool(self._old)

    def encrypt(self, data: dict[str, Any]) -> str:
        return self._fernet.encrypt(dumps(data)).decode()

    def decrypt(self, text: str, document_id: UUID) -> dict[str, Any]:
        for fernet in (self._fernet, *self._old):
            try:
                data: dict[str, Any] = json.loads(fernet.decrypt(text.encode()))
            except InvalidToken:
                continue
            return data
        raise ServiceError(
            f"The data of block document {document_id} was encrypted with another key than this server has."
        )

    def is_current(self, text: str) -> bool:
        """Whether ``text`` is under the key of today."""
        try:
            self._fernet.decrypt(text.encode())
        except InvalidToken:
            return False
        return True


def _fernet(key: str, setting: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise ServiceError(
            f"The encryption key is no Fernet key. {setting} takes 32 bytes in URL-safe base64."
        ) from None


async def cipher_of(scope: Scope) -> Cipher:
    """The configured key's, else that of the key kept in the database, made by whoever needs it first."""
    settings = scope.settings
    old = [key.strip() for key in (settings.encryption_old_keys or "").split(",") if key.strip()]
    stored = await _stored_key(scope.db, scope.workspace_id)
    if settings.encryption_key:
        return Cipher(settings.encryption_key, [*old, stored] if stored else old)
    if stored is None:
        await _offer_key(scope.db, scope.workspace_id, Fernet.generate_key().decode())
        stored = await _stored_key(scope.db, scope.workspace_id)
    assert stored is not None
    return Cipher(stored, old)


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
