"""Settings in effect, default storage, readiness, what a UI is told, saved searches."""

from __future__ import annotations

from uuid import uuid4

from sempre.server.blocks.system import register_system_blocks
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms

NONE = {"default_result_storage_block_id": None}


async def document(rooms: Rooms, slug: str) -> str:
    block_type = await rooms.get(f"/block_types/slug/{slug}")
    (schema,) = await rooms.post(
        "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}}
    )
    body = {"name": f"d-{uuid4().hex[:8]}", "block_type_id": block_type["id"], "block_schema_id": schema["id"]}
    return str((await rooms.post("/block_documents/", body, 201))["id"])


async def test_default_storage_is_a_block_that_can_be_written_to(rooms: Rooms) -> None:
    await register_system_blocks(rooms.scope)
    assert await rooms.get("/admin/storage") == NONE
    files, secret, missing = await document(rooms, "local-file-system"), await document(rooms, "secret"), str(uuid4())
    refused = await rooms.put("/admin/storage", {"default_result_storage_block_id": missing}, 404)
    assert refused == {"detail": f"Block document {missing} not found."}
    refused = await rooms.put("/admin/storage", {"default_result_storage_block_id": secret}, 422)
    assert refused == {"detail": f"Block document {secret} cannot be used for result storage."}
    chosen = {"default_result_storage_block_id": files}
    assert await rooms.put("/admin/storage", chosen) == chosen
    assert await rooms.get("/admin/storage") == chosen
    await rooms.delete(f"/block_documents/{files}")
    assert await rooms.get("/admin/storage") == NONE
    other = {"default_result_storage_block_id": await document(rooms, "local-file-system")}
    await rooms.put("/admin/storage", other)
    await rooms.delete("/admin/storage")
    await rooms.delete("/admin/storage")
    assert await rooms.get("/admin/storage") == NONE


async def test_settings_are_shown_without_secrets(database: Database) -> None:
    env = {"SEMPRE_SERVER_DATABASE_PASSWORD": "hunter2", "SEMPRE_SERVER_CSRF_TOKEN_EXPIRATION": "7200"}
    async with open_rooms(database, env) as rooms:
        shown = await rooms.get("/admin/settings")
        assert "hunter2" not in str(shown)
        assert shown["database"]["password"] == "*" * 10
        assert shown["database"]["connection_url"] == "*" * 10
        assert shown["encryption_key"] is None
        assert shown["register_blocks_on_start"] is True
        assert shown["database"]["statement_timeout"] == "PT10S"
        assert not [name for name in shown["database"] if name.endswith("_seconds")]


async def test_a_server_that_drains_is_alive_and_not_ready(rooms: Rooms) -> None:
    assert await rooms.get("/ready") == {"message": "OK"}
    rooms.app.state.draining = True
    answer = await rooms.http.get("/api/ready")
    assert answer.status_code == 503
    assert float(answer.headers["retry-after"]) > 0
    assert await rooms.get("/health") is True
    rooms.app.state.draining = False
    assert await rooms.get("/ready") == {"message": "OK"}


async def test_what_a_ui_is_told(rooms: Rooms, database: Database) -> None:
    told = (await rooms.http.get("/ui-settings")).json()
    assert told["api_url"] == "http://sempre.test/api"
    assert (told["auth"], told["csrf_enabled"], told["flags"]) == (None, False, [])
    assert told.keys() == {
        "api_url", "csrf_enabled", "auth", "flags", "default_ui", "available_uis", "v1_base_url", "v2_base_url",
    }  # fmt: skip
    async with open_rooms(database, {"SEMPRE_SERVER_API_AUTH_STRING": "admin:pw"}) as closed:
        answer = await closed.http.get("/ui-settings")
        assert answer.status_code == 200
        assert answer.json()["auth"] == "BASIC"
        assert "pw" not in answer.text


async def test_saved_searches(rooms: Rooms) -> None:
    line = {"object": "flow", "property": "name", "type": "string", "operation": "equals", "value": {"x": 1}}
    name = f"s-{uuid4().hex[:8]}"
    made = await rooms.put("/saved_searches/", {"name": name, "filters": [line]}, 201)
    assert made["filters"] == [line]
    replaced = await rooms.put("/saved_searches/", {"name": name})
    assert (replaced["id"], replaced["filters"], replaced["created"]) == (made["id"], [], made["created"])
    assert await rooms.get(f"/saved_searches/{made['id']}") == replaced
    assert replaced in await rooms.post("/saved_searches/filter")
    await rooms.delete(f"/saved_searches/{made['id']}")
    assert await rooms.get(f"/saved_searches/{made['id']}", 404) == {"detail": "Saved search not found"}
    await rooms.delete(f"/saved_searches/{made['id']}", 404)
