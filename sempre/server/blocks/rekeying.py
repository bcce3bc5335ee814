"""After a change of the encryption key: blocks under old keys are encrypted anew, so that those can be retired."""

import logging

from sempre.server.blocks import document_queries
from sempre.server.blocks.encryption import cipher_of
from sempre.server.errors import ServiceError
from sempre.server.scope import Scope

__all__ = ["reencrypt"]

log = logging.getLogger("sempre.server")

_BATCH = 200


async def reencrypt(scope: Scope) -> int:
    """Bring every block document under the key of today; returns how many were written.

    Any number of replicas may do it at once, while others read and write: a document that was written meanwhile is
    left as it is. One that no key opens stays too, and is named in the log. Nothing is looked at without old keys.
    """
    if not (scope.settings.encryption_key or scope.settings.encryption_old_keys):
        return 0
    try:
        cipher = await cipher_of(scope)
    except ServiceError as error:  # whoever needs a block is told the same
        log.error("%s", error)
        return 0
    written, after = 0, None
    while cipher.has_old_keys:
        rows = await document_queries.encrypted_page(scope.db, scope.workspace_id, after, _BATCH)
        for row in rows:
            if cipher.is_current(row["data"]):
                continue
            try:
                data = cipher.encrypt(cipher.decrypt(row["data"], row["id"]))
            except ServiceError as error:
                log.warning("%s", error)
                continue
            written += await document_queries.reencrypt(scope.db, row["id"], before=row["data"], data=data)
        if len(rows) < _BATCH:
            break
        after = rows[-1]["id"]
    if written:
        log.info("encrypted %d block documents anew, under the key of today", written)
    return written
