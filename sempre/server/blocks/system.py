"""Writing the built-in block types: by every replica at its start, and again whenever somebody asks for it."""

import asyncio
import logging

from sempre.core.block_schemas import checksum
from sempre.db.errors import DatabaseUnavailable
from sempre.server.admin.versions import PROTOCOL_VERSION
from sempre.server.blocks import schema_queries, schemas, type_queries
from sempre.server.blocks.events import type_changed
from sempre.server.blocks.integration_types import integration_types
from sempre.server.blocks.system_types import SYSTEM_TYPES, SystemType
from sempre.server.events.emit import emit
from sempre.server.scope import Scope

__all__ = ["install_protected_types", "register_system_blocks"]

log = logging.getLogger("sempre.server")

_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 30.0


async def register_system_blocks(scope: Scope) -> None:
    """Make sure that every built-in type is there, if the settings ask for it.

    For the start of a process, beside everything else: it waits for a database that is away, and any number of
    replicas may do it at once. A type that an operator deleted comes back; one that was changed stays changed,
    unless it is protected.
    """
    if not scope.settings.register_blocks_on_start:
        return
    delay = _FIRST_RETRY_SECONDS
    while True:
        try:
            await _install(scope, (*SYSTEM_TYPES, *integration_types()))
            return
        except DatabaseUnavailable as error:
            log.info("the built-in block types are written once the database answers: %s", error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_RETRY_SECONDS)


async def install_protected_types(scope: Scope) -> None:
    """Write the protected types, and give them their texts back."""
    await _install(scope, tuple(type for type in SYSTEM_TYPES if type.protected))


async def _install(scope: Scope, types: tuple[SystemType, ...]) -> None:
    """What is there already costs one look at all of it, except for the protected types, whose texts are compared."""
    known = await schema_queries.known(scope.db, scope.workspace_id, PROTOCOL_VERSION)
    for type in types:
        if type.protected or (type.slug, checksum(type.fields())) not in known:
            await _ensure(scope, type)


async def _ensure(scope: Scope, type: SystemType) -> None:
    texts = {"description": type.description}
    block_type = await type_queries.find(scope.db, scope.workspace_id, type.slug)
    if block_type is None:
        async with scope.db.transaction() as transaction:
            block_type = await type_queries.create(
                transaction, scope.workspace_id, type.name, type.slug, texts, is_protected=type.protected
            )
            if block_type is not None:
                await emit(transaction, scope.workspace_id, type_changed("created", block_type))
        if block_type is not None:
            scope.doorbell.ring("events")
        else:  # another replica was first
            block_type = await type_queries.find(scope.db, scope.workspace_id, type.slug)
    elif type.protected:
        await type_queries.restore(scope.db, scope.workspace_id, type.name, type.slug, texts)
    if block_type is not None:
        await schemas.ensure_schema(scope, type.fields(), block_type["id"], list(type.capabilities), PROTOCOL_VERSION)
