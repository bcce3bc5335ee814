"""The built-in types: written by every replica at its start."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from sempre.server.blocks.integration_types import integration_types
from sempre.server.blocks.system import register_system_blocks
from sempre.server.blocks.system_types import SYSTEM_TYPES
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms


def named_definitions(value: Any) -> set[str]:
    """What the ``$ref``s in a schema point to."""
    return set(re.findall(r'"#/definitions/(\w+)"', json.dumps(value)))


async def test_replicas_starting_at_once_write_each_type_once(rooms: Rooms) -> None:
    await asyncio.gather(*(register_system_blocks(rooms.scope) for _ in range(4)))
    types = (*SYSTEM_TYPES, *integration_types())
    slugs = {type.slug for type in types}
    assert len(slugs) == len(types) > 50
    found = await rooms.post("/block_types/filter", {"block_types": {"slug": {"any_": sorted(slugs)}}})
    assert {block_type["slug"] for block_type in found} == slugs
    protected = {block_type["slug"] for block_type in found if block_type["is_protected"]}
    assert protected == {"secret", "webhook", "local-file-system"}
    for block_type in found:
        events = await rooms.events(f"prefect.block-type.{block_type['id']}")
        assert [event["event"] for event in events] == ["prefect.block-type.created"]
        schemas = await rooms.post(
            "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}}
        )
        assert [schema["version"] for schema in schemas] == ["3.8.8"]
        (fields,) = [schema["fields"] for schema in schemas]
        assert named_definitions(fields["properties"]) <= fields.get("definitions", {}).keys(), fields["title"]
    assert await rooms.get("/block_capabilities/") == sorted(
        ["get-directory", "put-directory", "read-path", "write-path", "notify"]
    )


async def test_protected_types_stay_and_get_their_texts_back(rooms: Rooms) -> None:
    await register_system_blocks(rooms.scope)
    secret = await rooms.get("/block_types/slug/secret")
    refused = await rooms.delete(f"/block_types/{secret['id']}", 403)
    assert refused == {"detail": "protected block types cannot be deleted."}
    (schema,) = await rooms.post(
        "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [secret["id"]]}}}
    )
    refused = await rooms.delete(f"/block_schemas/{schema['id']}", 403)
    assert refused == {"detail": "Block schemas for protected block types cannot be deleted."}
    await rooms.patch(f"/block_types/{secret['id']}", {"description": "mine"})
    assert await rooms.post("/block_types/install_system_block_types") is None
    assert (await rooms.get("/block_types/slug/secret"))["description"] == secret["description"]
    before = await rooms.get("/block_types/slug/secret")
    await register_system_blocks(rooms.scope)
    assert await rooms.get("/block_types/slug/secret") == before  # nothing to write, nothing written


async def test_a_database_that_is_away_is_waited_for(rooms: Rooms, database: Database) -> None:
    async with open_rooms(database) as late:
        scope = late.scope
        await rooms.scope.db.execute("DELETE FROM block_type WHERE slug = 'smb'")
        await scope.db.close()
        registration = asyncio.create_task(register_system_blocks(scope))
        done, _ = await asyncio.wait([registration], timeout=0.2)
        assert not done
        await scope.db.open()
        await asyncio.wait_for(registration, 60)
        await rooms.get("/block_types/slug/smb")


async def test_registration_can_be_switched_off(database: Database) -> None:
    async with open_rooms(database, {"SEMPRE_SERVER_REGISTER_BLOCKS_ON_START": "false"}) as off:
        await off.scope.db.execute("DELETE FROM block_type WHERE slug = 'smb'")
        await register_system_blocks(off.scope)
        await off.get("/block_types/slug/smb", 404)
