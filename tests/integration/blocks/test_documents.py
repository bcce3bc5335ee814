"""Block documents: secrets, references, encryption, and writes that meet each other."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

from cryptography.fernet import Fernet

from sempre.server.blocks.documents import read_data
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms

JsonObject = dict[str, Any]
MASK = "********"


class Kind:
    """A new block type with one schema."""

    def __init__(self, rooms: Rooms, type_id: str, schema_id: str, slug: str) -> None:
        self.rooms, self.type_id, self.schema_id, self.slug = rooms, type_id, schema_id, slug

    @classmethod
    async def new(cls, rooms: Rooms, *secrets: str) -> Kind:
        slug = f"kind-{uuid4().hex[:8]}"
        made = await rooms.post("/block_types/", {"name": slug, "slug": slug}, 201)
        fields = {"title": slug, "type": "object", "block_type_slug": slug, "secret_fields": list(secrets)}
        schema = await rooms.post("/block_schemas/", {"fields": fields, "block_type_id": made["id"]}, 201)
        return cls(rooms, made["id"], schema["id"], slug)

    async def save(self, data: JsonObject, status: int = 201, **more: Any) -> JsonObject:
        body = {"name": f"d-{uuid4().hex[:8]}", "data": data, **self.ids(), **more}
        made: JsonObject = await self.rooms.post("/block_documents/", body, status)
        return made

    def ids(self) -> JsonObject:
        return {"block_type_id": self.type_id, "block_schema_id": self.schema_id}


async def clear(rooms: Rooms, document: JsonObject) -> JsonObject:
    found = await rooms.get(f"/block_documents/{document['id']}?include_secrets=true")
    data: JsonObject = found["data"]
    return data


def reference(document: JsonObject) -> JsonObject:
    return {"$ref": {"block_document_id": document["id"]}}


async def test_secrets_are_masked_unless_asked_for_and_encrypted_at_rest(rooms: Rooms) -> None:
    kind = await Kind.new(rooms, "value", "headers.*", "deep.token")
    data = {
        "value": {"user": "u", "password": "p"},
        "headers": {"a": "x", "b": None},
        "deep": {"token": "t", "open": 1},
        "label": "shown",
    }
    made = await kind.save(data)
    masked = {
        "value": {"user": MASK, "password": MASK},
        "headers": {"a": MASK, "b": MASK},
        "deep": {"token": MASK, "open": 1},
        "label": "shown",
    }
    assert made["data"] == masked
    assert (await rooms.get(f"/block_documents/{made['id']}"))["data"] == masked
    assert await clear(rooms, made) == data
    assert await read_data(rooms.scope, UUID(made["id"])) == data
    stored = await rooms.scope.db.fetchval("SELECT data FROM block_document WHERE id = $1", UUID(made["id"]))
    assert "shown" not in stored
    (event,) = await rooms.events(f"prefect.block-document.{made['id']}")
    assert event["payload"]["data"] == {"label": "shown"}
    assert [r["prefect.resource.role"] for r in event["related"]] == ["block-type", "block-schema"]


async def test_masks_that_come_back_keep_what_they_hide(rooms: Rooms) -> None:
    kind = await Kind.new(rooms, "password", "headers.*")
    made = await kind.save({"password": "p", "user": "u", "headers": {"a": "1"}})
    path = f"/block_documents/{made['id']}"
    await rooms.patch(path, {"data": {"password": MASK, "user": "v"}})
    assert await clear(rooms, made) == {"password": "p", "user": "v", "headers": {"a": "1"}}
    await rooms.patch(path, {"data": {"headers": {"a": MASK, "b": "2", "c": MASK}}})
    assert (await clear(rooms, made))["headers"] == {"a": "1", "b": "2"}
    await rooms.patch(path, {"data": {"password": MASK}, "merge_existing_data": False})
    assert await clear(rooms, made) == {"password": "p"}
    await rooms.patch(path, {"block_schema_id": kind.schema_id})
    await rooms.patch(path, {"merge_existing_data": False})
    assert await clear(rooms, made) == {}
    await rooms.patch(f"/block_documents/{uuid4()}", {"data": {}}, 404)


async def test_references_are_followed_masked_by_their_own_schema_and_let_go(rooms: Rooms) -> None:
    creds, holder = await Kind.new(rooms, "token"), await Kind.new(rooms)
    inner = await creds.save({"token": "t", "user": "u"})
    middle = await holder.save({"creds": reference(inner), "label": "m"})
    outer = await holder.save({"middle": reference(middle), "nested": {"deep": reference(inner)}})
    assert outer["data"] == {
        "middle": {"creds": {"token": MASK, "user": "u"}, "label": "m"},
        "nested": {"deep": reference(inner)},
    }
    assert (await clear(rooms, outer))["middle"]["creds"]["token"] == "t"
    linked = outer["block_document_references"]["middle"]["block_document"]
    assert (linked["id"], linked["name"], linked["block_type"]["slug"]) == (middle["id"], middle["name"], holder.slug)
    assert linked["block_document_references"]["creds"]["block_document"]["id"] == inner["id"]
    other = await creds.save({"token": "other"})
    await rooms.patch(f"/block_documents/{middle['id']}", {"data": {"creds": reference(other)}})
    assert (await clear(rooms, outer))["middle"] == {"creds": {"token": "other"}, "label": "m"}
    await rooms.patch(f"/block_documents/{middle['id']}", {"data": {"creds": "plain now"}})
    assert (await clear(rooms, middle)) == {"creds": "plain now", "label": "m"}
    await rooms.delete(f"/block_documents/{middle['id']}")
    assert (await rooms.get(f"/block_documents/{outer['id']}"))["data"].keys() == {"nested"}


async def test_references_that_cannot_be(rooms: Rooms) -> None:
    kind = await Kind.new(rooms)
    refused = await kind.save({"u": {"$ref": {}}}, 400)
    assert refused == {"detail": "Received block reference without a block_document_id in key u"}
    await kind.save({"u": {"$ref": {"block_document_id": str(uuid4())}}}, 409)
    a = await kind.save({})
    b = await kind.save({"next": reference(a)})
    refused = await rooms.patch(f"/block_documents/{a['id']}", {"data": {"next": reference(b)}}, 400)
    assert refused["detail"].startswith("Cannot create block document reference: it would introduce a cycle")
    assert refused["detail"].endswith(f"(parent={a['id']}, reference={b['id']}).")
    await rooms.patch(f"/block_documents/{a['id']}", {"data": {"next": reference(a)}}, 400)


async def test_two_writes_that_close_a_circle_do_not_both_succeed(rooms: Rooms) -> None:
    kind = await Kind.new(rooms)
    for _ in range(5):
        a, b = await kind.save({}), await kind.save({})
        answers = await asyncio.gather(
            rooms.http.patch(f"/api/block_documents/{a['id']}", json={"data": {"next": reference(b)}}),
            rooms.http.patch(f"/api/block_documents/{b['id']}", json={"data": {"next": reference(a)}}),
        )
        assert sorted(answer.status_code for answer in answers) == [204, 400]


async def test_no_write_is_lost_among_many(rooms: Rooms) -> None:
    kind = await Kind.new(rooms)
    made = await kind.save({})
    path = f"/block_documents/{made['id']}"
    await asyncio.gather(*(rooms.patch(path, {"data": {f"k{n}": n}}) for n in range(6)))
    assert await clear(rooms, made) == {f"k{n}": n for n in range(6)}


async def test_names_types_and_schemas_are_held_to(rooms: Rooms) -> None:
    kind, other = await Kind.new(rooms), await Kind.new(rooms)
    made = await kind.save({})
    assert await kind.save({}, 409, name=made["name"]) == {"detail": "Block already exists"}
    await other.save({}, name=made["name"])  # per type
    await kind.save({}, 409, block_schema_id=str(uuid4()))
    await kind.save({}, 404, block_type_id=str(uuid4()))
    await kind.save({}, 422, name=None)
    refused = await rooms.patch(f"/block_documents/{made['id']}", {"data": {}, "block_schema_id": other.schema_id}, 400)
    assert refused == {"detail": "Must migrate block document to a block schema of the same block type."}
    await rooms.patch(f"/block_documents/{made['id']}", {"data": {}, "block_schema_id": str(uuid4())}, 404)
    anonymous = await kind.save({}, name=None, is_anonymous=True)
    assert anonymous["name"].startswith("anonymous-")
    await rooms.get(f"/block_documents/{anonymous['id']}")

    async def names(filter: JsonObject | None) -> list[str]:
        body = {"block_documents": filter, "block_types": {"slug": {"any_": [kind.slug]}}, "sort": None, "limit": None}
        return [document["name"] for document in await rooms.post("/block_documents/filter", body)]

    assert await names(None) == [made["name"]]
    assert await names({"is_anonymous": None}) == sorted([made["name"], anonymous["name"]])
    assert await names({"is_anonymous": {"eq_": True}}) == [anonymous["name"]]
    count = {"block_types": {"slug": {"any_": [kind.slug]}}}
    assert await rooms.post("/block_documents/count", count) == 1
    path = f"/block_types/slug/{kind.slug}/block_documents"
    assert [document["name"] for document in await rooms.get(path)] == [made["name"]]
    assert (await rooms.get(f"{path}/name/{anonymous['name']}"))["id"] == anonymous["id"]
    assert await rooms.get(f"{path}/name/nope", 404) == {"detail": "Block document not found"}
    await rooms.delete(f"/block_types/{kind.type_id}")
    await rooms.get(f"/block_documents/{made['id']}", 404)


async def test_replicas_agree_on_one_key_made_on_first_use(rooms: Rooms, database: Database) -> None:
    await rooms.scope.db.execute("TRUNCATE configuration")
    await rooms.scope.db.execute("TRUNCATE block_document CASCADE")
    kind = await Kind.new(rooms)
    made = await asyncio.gather(*(kind.save({"n": n}) for n in range(6)))
    async with open_rooms(database) as other:
        assert [(await clear(other, document))["n"] for document in made] == list(range(6))


async def test_a_wrong_key_says_so_and_never_shows_itself(rooms: Rooms, database: Database) -> None:
    theirs, key = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    async with open_rooms(database, {"SEMPRE_SERVER_ENCRYPTION_KEY": theirs}) as writer:
        made = await (await Kind.new(writer)).save({"n": 1})
    async with open_rooms(database, {"SEMPRE_SERVER_ENCRYPTION_KEY": key}) as other:
        refused = await other.get(f"/block_documents/{made['id']}", 500)
        assert made["id"] in refused["detail"]
        assert key not in str(refused)
        assert key not in str(await other.get("/admin/settings"))
        await other.delete(f"/block_documents/{made['id']}")


async def test_job_variables_see_the_data_of_a_block_that_is_their_default(rooms: Rooms) -> None:
    kind = await Kind.new(rooms, "token")
    block = await kind.save({"token": "t"})
    inner = {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]}

    def pool(default: JsonObject) -> JsonObject:
        properties = {"creds": {**inner, "default": default}}
        return {
            "name": f"p-{uuid4().hex[:8]}",
            "type": "process",
            "base_job_template": {
                "job_configuration": {"c": "{{ creds }}"},
                "variables": {"type": "object", "properties": properties},
            },
        }

    await rooms.post("/work_pools/", pool(reference(block)), 201)
    wrong = await kind.save({"token": 5})
    refused = await rooms.post("/work_pools/", pool(reference(wrong)), 422)
    assert "5 is not of type" in refused["detail"]
    for missing in (str(uuid4()), "no-id"):
        refused = await rooms.post("/work_pools/", pool({"$ref": {"block_document_id": missing}}), 404)
        assert refused == {"detail": "Block not found."}
