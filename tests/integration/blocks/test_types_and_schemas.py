"""Block types, and schemas with their checksums and nested references."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from tests.support.rooms import Rooms

JsonObject = dict[str, Any]


async def new_type(rooms: Rooms, slug: str | None = None, **more: Any) -> JsonObject:
    slug = slug or f"t-{uuid4().hex[:8]}"
    made: JsonObject = await rooms.post("/block_types/", {"name": slug.upper(), "slug": slug, **more}, 201)
    return made


def fields(slug: str, title: str, **properties: Any) -> JsonObject:
    return {
        "title": title,
        "type": "object",
        "properties": properties or {"a": {"title": "A", "type": "string"}},
        "block_type_slug": slug,
        "secret_fields": [],
        "block_schema_references": {},
    }


async def new_schema(rooms: Rooms, block_type: JsonObject, body: JsonObject, **more: Any) -> JsonObject:
    made: JsonObject = await rooms.post(
        "/block_schemas/", {"fields": body, "block_type_id": block_type["id"], **more}, 201
    )
    return made


async def test_types_are_made_changed_and_deleted(rooms: Rooms) -> None:
    made = await new_type(rooms, description="<b> & 'c'", code_example="a > b")
    assert (made["description"], made["code_example"]) == ("&lt;b&gt; &amp; 'c'", "a &gt; b")
    assert made["is_protected"] is False
    again = await rooms.post("/block_types/", {"name": "Other", "slug": made["slug"]}, 409)
    assert again == {"detail": 'Block type with name "Other" already exists'}
    reserved = await rooms.post("/block_types/", {"name": "prefect x", "slug": "x"}, 403)
    assert reserved == {"detail": "Block type names beginning with 'Prefect' are reserved."}
    await rooms.patch(f"/block_types/{made['id']}", {"description": "<b> & 'c'"})  # the same text
    assert (await rooms.get(f"/block_types/slug/{made['slug']}"))["updated"] == made["updated"]
    await rooms.patch(f"/block_types/{made['id']}", {"logo_url": "http://example.com/x.png"})
    assert (await rooms.get(f"/block_types/{made['id']}"))["logo_url"] == "http://example.com/x.png"
    await rooms.delete(f"/block_types/{made['id']}")
    await rooms.delete(f"/block_types/{made['id']}", 404)
    assert await rooms.get(f"/block_types/slug/{made['slug']}", 404) == {"detail": "Block type not found"}
    events = await rooms.events(f"prefect.block-type.{made['id']}")
    assert [event["event"].rpartition(".")[2] for event in events] == ["created", "updated", "deleted"]


async def test_a_schema_is_named_by_its_fields(rooms: Rooms) -> None:
    block_type = await new_type(rooms)
    body = {
        "title": "T", "type": "object", "properties": {"a": {"title": "A", "type": "string"}}, "required": ["a"],
        "block_type_slug": "t", "secret_fields": ["a"], "block_schema_references": {},
    }  # fmt: skip
    made = await new_schema(rooms, block_type, body, capabilities=["read-path"])
    assert made["checksum"] == "sha256:ccbd8936209ae04ace5181a6be110f7a2b4820a77a214debc6c22682fb7e5f66"
    assert made["fields"] == body
    assert made["block_type"]["slug"] == block_type["slug"]
    again = await rooms.post("/block_schemas/", {"fields": body, "block_type_id": block_type["id"]})
    assert again == made
    versioned = await new_schema(rooms, block_type, body, version="1.0")
    by_checksum = f"/block_schemas/checksum/{made['checksum']}"
    assert (await rooms.get(by_checksum))["id"] == versioned["id"]
    assert (await rooms.get(f"{by_checksum}?version=non-versioned"))["id"] == made["id"]
    assert await rooms.get(f"{by_checksum}?version=9", 404) == {"detail": "Block schema not found"}
    assert "read-path" in await rooms.get("/block_capabilities/")
    filter = {
        "block_schemas": {"block_capabilities": {"all_": ["read-path"]}, "block_type_id": {"any_": [block_type["id"]]}}
    }
    assert [schema["id"] for schema in await rooms.post("/block_schemas/filter", filter)] == [made["id"]]
    assert [t["id"] for t in await rooms.post("/block_types/filter", filter)] == [block_type["id"]]
    await rooms.delete(f"/block_schemas/{made['id']}")
    await rooms.get(f"/block_schemas/{made['id']}", 404)


async def test_replicas_that_register_one_schema_get_one(rooms: Rooms) -> None:
    block_type = await new_type(rooms)
    body = {"fields": fields(block_type["slug"], "Same"), "block_type_id": block_type["id"]}
    answers = await asyncio.gather(*(rooms.http.post("/api/block_schemas/", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_nested_schemas_are_found_or_made_and_read_flat(rooms: Rooms) -> None:
    inner, middle, outer = [await new_type(rooms) for _ in range(3)]
    inner_fields = fields(inner["slug"], "Inner")
    inner_schema = await new_schema(rooms, inner, inner_fields)
    inner_reference = {"block_type_slug": inner["slug"], "block_schema_checksum": inner_schema["checksum"]}
    middle_fields = {
        **fields(middle["slug"], "Middle", inner={"$ref": "#/definitions/Inner"}),
        "block_schema_references": {"inner": inner_reference},
    }
    outer_fields = {
        **fields(
            outer["slug"], "Outer", both={"anyOf": [{"$ref": "#/definitions/Middle"}, {"$ref": "#/definitions/Inner"}]}
        ),
        "block_schema_references": {
            "both": [{"block_type_slug": middle["slug"], "block_schema_checksum": "sha256:unknown"}, inner_reference]
        },
        "definitions": {"Middle": middle_fields, "Inner": inner_fields, "Plain": {"type": "string"}},
    }
    made = await new_schema(rooms, outer, outer_fields)
    references = made["fields"]["block_schema_references"]["both"]
    assert {reference["block_type_slug"] for reference in references} == {middle["slug"], inner["slug"]}
    assert made["fields"]["definitions"].keys() == {"Middle", "Inner", "Plain"}
    assert made["fields"]["definitions"]["Middle"]["block_schema_references"] == {"inner": inner_reference}
    assert "definitions" not in made["fields"]["definitions"]["Middle"]
    assert made["fields"]["definitions"]["Inner"] == inner_fields
    found = await rooms.post("/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [middle["id"]]}}})
    assert [schema["fields"]["title"] for schema in found] == ["Middle"]


async def test_schemas_that_cannot_be(rooms: Rooms) -> None:
    block_type = await new_type(rooms)
    missing = uuid4()
    refused = await rooms.post("/block_schemas/", {"fields": {}, "block_type_id": str(missing)}, 404)
    assert refused == {"detail": f"Block type {missing} not found."}
    nested = {
        **fields(block_type["slug"], "N"),
        "block_schema_references": {"a": {"block_type_slug": "zzz", "block_schema_checksum": "sha256:0"}},
    }
    refused = await rooms.post("/block_schemas/", {"fields": nested, "block_type_id": block_type["id"]}, 409)
    assert refused == {
        "detail": "Cannot create block schema because block type 'zzz' was not found."
        "Did you forget to register the block type?"
    }
