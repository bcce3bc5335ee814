"""Blocks: every status and text of their operations, and what goes with a block that is deleted."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet, InvalidToken

from sempre.server.blocks.integration_types import integration_types
from sempre.server.blocks.rekeying import reencrypt
from sempre.server.blocks.system import register_system_blocks
from tests.integration.protocol.facts import INTEGRITY, NOBODY, Fact, Invalid, detail, hold
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms

JsonObject = dict[str, Any]
MASK = "********"
FILES = ["get-directory", "put-directory", "read-path", "write-path"]


class Kind:
    """A block type with one schema, for documents."""

    def __init__(self, rooms: Rooms, type_id: str, schema_id: str, slug: str) -> None:
        self.rooms, self.type_id, self.schema_id, self.slug = rooms, type_id, schema_id, slug

    @classmethod
    async def new(cls, rooms: Rooms, *secrets: str, capabilities: tuple[str, ...] = ()) -> Kind:
        slug = f"kind-{uuid4().hex[:8]}"
        made = await rooms.post("/block_types/", {"name": slug, "slug": slug}, 201)
        fields = {"title": slug, "type": "object", "block_type_slug": slug, "secret_fields": list(secrets)}
        body = {"fields": fields, "block_type_id": made["id"], "capabilities": list(capabilities)}
        schema = await rooms.post("/block_schemas/", body, 201)
        return cls(rooms, made["id"], schema["id"], slug)

    def body(self, **more: Any) -> JsonObject:
        return {"block_type_id": self.type_id, "block_schema_id": self.schema_id, **more}

    async def save(self, **data: Any) -> str:
        made = await self.rooms.post("/block_documents/", self.body(name=f"d-{uuid4().hex[:8]}", data=data), 201)
        return str(made["id"])


async def test_types(rooms: Rooms) -> None:
    await register_system_blocks(rooms.scope)
    made = await rooms.post("/block_types/", {"name": "Zed", "slug": "zed", "description": "<b>&\"'"}, 201)
    path, secret = f"/block_types/{made['id']}", await rooms.get("/block_types/slug/secret")
    assert made["description"] == "&lt;b&gt;&amp;\"'"
    reserved, missing = (
        detail("Block type names beginning with 'Prefect' are reserved."),
        detail("Block type not found"),
    )
    await hold(
        rooms,
        [
            ("POST", "/block_types/", {"name": "pReFect x", "slug": "x"}, 403, reserved),
            ("POST", "/block_types/", {"name": "New", "slug": "zed"}, 409,
             detail('Block type with name "New" already exists')),
            ("POST", "/block_types/", {"name": "Zed", "slug": "zed-two"}, 201, lambda b: b["slug"] == "zed-two"),
            ("POST", "/block_types/", {"name": "a/b", "slug": "x"}, 422, Invalid("string_pattern_mismatch", "name")),
            ("POST", "/block_types/", {"name": "x", "slug": "No Slug"}, 422, Invalid("value_error", "slug")),
            ("POST", "/block_types/", {"name": "x", "slug": "x", "is_protected": True}, 422,
             Invalid("extra_forbidden")),
            ("GET", f"/block_types/{NOBODY}", None, 404, missing),
            ("GET", "/block_types/no-uuid", None, 404, detail("Not Found")),
            ("GET", "/block_types/slug/none", None, 404, missing),
            ("PATCH", path, {"description": "<i>"}, 204),
            ("GET", path, None, 200, lambda b: b["description"] == "<i>"),
            ("PATCH", path, {"description": None}, 204),
            ("GET", path, None, 200, lambda b: b["description"] is None),
            ("PATCH", path, {}, 204),
            ("PATCH", path, {"name": "x"}, 422, Invalid("extra_forbidden", "name")),
            ("PATCH", f"/block_types/{NOBODY}", {}, 404, missing),
            ("DELETE", f"/block_types/{NOBODY}", None, 404, missing),
            ("PATCH", f"/block_types/{secret['id']}", {"code_example": "mine"}, 204),
            ("DELETE", f"/block_types/{secret['id']}", None, 403, detail("protected block types cannot be deleted.")),
            ("POST", "/block_types/install_system_block_types", None, 200, lambda b: b is None),
            ("GET", "/block_types/slug/secret", None, 200, lambda b: b["code_example"] == secret["code_example"]),
            ("POST", "/block_types/filter", {"limit": 201}, 422,
             detail("Invalid limit: must be less than or equal to 200.")),
            ("POST", "/block_types/filter", {"limit": -1}, 422,
             detail("Invalid limit: must be greater than or equal to 0.")),
            ("POST", "/block_types/filter", {"block_types": {"name": {"like_": "z_D"}}}, 200,
             lambda b: {t["slug"] for t in b} == {"zed", "zed-two"}),
            ("POST", "/block_types/filter", {"block_types": {"slug": {"any_": []}}}, 200, []),
            ("POST", "/block_types/filter", {"block_types": {"slug": {"any_": ["zed", "secret"]}}, "block_schemas": {}},
             200, lambda b: [t["slug"] for t in b] == ["secret"]),
            ("POST", "/block_types/filter", {"block_types": {"nope": 1}}, 422, Invalid("extra_forbidden")),
            ("GET", "/block_types/slug/none/block_documents", None, 404, missing),
            ("DELETE", path, None, 204),
        ],
    )  # fmt: skip


async def test_schemas(rooms: Rooms) -> None:
    await register_system_blocks(rooms.scope)
    kind = await Kind.new(rooms)
    secret = await rooms.get("/block_types/slug/secret")
    of_secret = {"block_schemas": {"block_type_id": {"any_": [secret["id"]]}}}
    (protected,) = await rooms.post("/block_schemas/filter", of_secret)
    missing = detail("Block schema not found")
    unregistered = {"block_schema_references": {"x": {"block_type_slug": "zzz", "block_schema_checksum": "sha256:1"}}}
    await hold(
        rooms,
        [
            ("POST", "/block_schemas/", {"block_type_id": kind.type_id}, 201,
             lambda b: b["version"] == "non-versioned"),
            ("POST", "/block_schemas/", {"fields": {}, "block_type_id": kind.type_id}, 200),
            ("POST", "/block_schemas/", {"fields": {}, "block_type_id": NOBODY}, 404,
             detail(f"Block type {NOBODY} not found.")),
            ("POST", "/block_schemas/", {"fields": unregistered, "block_type_id": kind.type_id}, 409,
             detail("Cannot create block schema because block type 'zzz' was not found."
                    "Did you forget to register the block type?")),
            ("POST", "/block_schemas/", {"fields": {}}, 422, Invalid("missing", "block_type_id")),
            ("GET", f"/block_schemas/{NOBODY}", None, 404, missing),
            ("GET", "/block_schemas/checksum/sha256:0", None, 404, missing),
            ("DELETE", f"/block_schemas/{NOBODY}", None, 404, missing),
            ("DELETE", f"/block_schemas/{protected['id']}", None, 403,
             detail("Block schemas for protected block types cannot be deleted.")),
            ("DELETE", f"/block_schemas/{kind.schema_id}", None, 204),
        ],
    )  # fmt: skip


async def test_documents(rooms: Rooms) -> None:
    kind, other = await Kind.new(rooms, "a", "h.*", "o.p"), await Kind.new(rooms)
    made = await rooms.post("/block_documents/", kind.body(name="one", data={"a": "x"}), 201)
    path, missing = f"/block_documents/{made['id']}", detail("Block document not found")
    nameless = Invalid("value_error", "body", "Value error, Names must be provided for block documents.")
    where = f"/block_types/slug/{kind.slug}/block_documents"

    def saves(status: int, answer: Any, **body: Any) -> Fact:
        return Fact("POST", "/block_documents/", kind.body(**body), status, answer)

    def holds(**data: Any) -> Fact:
        return Fact("GET", f"{path}?include_secrets=true", None, 200, lambda b: b["data"] == data)

    without_id = detail("Received block reference without a block_document_id in key u")
    await hold(
        rooms,
        [
            saves(409, detail("Block already exists"), name="one"),
            saves(422, nameless, data={}),
            saves(422, nameless, name=None),
            saves(422, nameless, name=""),
            saves(422, Invalid("value_error", "name"), name="No Slug"),
            saves(422, Invalid("extra_forbidden", "zz"), name="x", zz=1),
            saves(409, INTEGRITY, name="x", block_schema_id=NOBODY),
            saves(404, detail("Block type not found"), name="x", block_type_id=NOBODY),
            saves(400, without_id, name="x", data={"u": {"$ref": {}}}),
            saves(409, INTEGRITY, name="x", data={"u": {"$ref": {"block_document_id": NOBODY}}}),
            saves(201, lambda b: b["data"]["a"] == MASK, name="number", data={"a": 5}),
            saves(201, lambda b: b["data"]["a"] is None, name="null", data={"a": None}),
            saves(201, lambda b: b["data"]["a"] == {"k": MASK, "n": {"m": MASK}}, name="object",
                  data={"a": {"k": "v", "n": {"m": 1}}}),
            saves(201, lambda b: b["data"] == {"h": {"q": MASK, "n": MASK}, "o": {"p": MASK, "r": 1}}, name="paths",
                  data={"h": {"q": 1, "n": None}, "o": {"p": 1, "r": 1}}),
            saves(201, lambda b: b["name"].startswith("anonymous-"), is_anonymous=True, data={}),
            ("GET", f"/block_documents/{NOBODY}", None, 404, missing),
            ("PATCH", f"/block_documents/{NOBODY}", {"data": {}}, 404, missing),
            ("DELETE", f"/block_documents/{NOBODY}", None, 404, missing),
            ("GET", f"{where}/name/none", None, 404, missing),
            ("PATCH", path, {"data": {"a": MASK, "b": 1}}, 204), holds(a="x", b=1),
            ("PATCH", path, {"block_schema_id": other.schema_id}, 204), holds(a="x", b=1),
            ("PATCH", path, {}, 204), holds(a="x", b=1),
            ("PATCH", path, {"data": {"h": {"new": MASK, "kept": 1}}}, 204), holds(a="x", b=1, h={"kept": 1}),
            ("PATCH", path, {"data": {"h": {"kept": MASK}}}, 204), holds(a="x", b=1, h={"kept": 1}),
            ("PATCH", path, {"merge_existing_data": False, "data": {"b": 2}}, 204), holds(b=2),
            ("PATCH", path, {"merge_existing_data": False}, 204), holds(),
            ("PATCH", path, {"data": None}, 422, Invalid("dict_type", "data")),
            ("PATCH", path, {"name": "x"}, 422, Invalid("extra_forbidden", "name")),
            ("PATCH", path, {"data": {}, "block_schema_id": other.schema_id}, 400,
             detail("Must migrate block document to a block schema of the same block type.")),
            ("PATCH", path, {"data": {}, "block_schema_id": NOBODY}, 404, detail("Block schema not found")),
            ("PATCH", path, {"data": {"me": {"$ref": {"block_document_id": made["id"]}}}}, 400,
             detail("Cannot create block document reference: it would introduce a cycle into the "
                    f"block_document_reference graph (parent={made['id']}, reference={made['id']}).")),
            ("POST", "/block_documents/filter", {"sort": "name"}, 422, Invalid("enum", "sort")),
            ("DELETE", path, None, 204),
        ],
    )  # fmt: skip


@pytest.mark.parametrize("by", ["document", "schema", "type"])
async def test_what_names_a_block_goes_with_it(rooms: Rooms, by: str) -> None:
    kind = await Kind.new(rooms, capabilities=("write-path",))
    infrastructure, storage, untouched = await kind.save(), await kind.save(), await (await Kind.new(rooms)).save()
    flow = (await rooms.post("/flows/", {"name": f"f-{uuid4().hex[:8]}"}, 201))["id"]

    async def deployment(name: str, **more: Any) -> str:
        return str((await rooms.post("/deployments/", {"name": name, "flow_id": flow, **more}, 201))["id"])

    first = await deployment("infrastructure", infrastructure_document_id=infrastructure)
    second = await deployment("storage", storage_document_id=storage)
    other = await deployment("other", infrastructure_document_id=untouched)
    planned = await rooms.post(f"/deployments/{first}/create_flow_run", {}, 201)
    running = {"flow_id": flow, "infrastructure_document_id": infrastructure, "state": {"type": "RUNNING"}}
    begun = await rooms.post("/flow_runs/", running, 201)
    task = {"flow_run_id": begun["id"], "task_key": "t", "dynamic_key": "0"}
    task_run = await rooms.post("/task_runs/", task, 201)
    theirs = await rooms.post(f"/deployments/{other}/create_flow_run", {}, 201)
    await rooms.put("/admin/storage", {"default_result_storage_block_id": storage})
    doomed = {
        "document": [f"/block_documents/{infrastructure}", f"/block_documents/{storage}"],
        "schema": [f"/block_schemas/{kind.schema_id}"],
        "type": [f"/block_types/{kind.type_id}"],
    }
    for path in doomed[by]:
        await rooms.delete(path)
    await hold(
        rooms,
        [
            ("GET", f"/deployments/{first}", None, 404, detail("Deployment not found")),
            ("GET", f"/deployments/{second}", None, 404, detail("Deployment not found")),
            ("GET", f"/flow_runs/{planned['id']}", None, 404, detail("Flow run not found")),
            ("GET", f"/flow_runs/{begun['id']}", None, 404, detail("Flow run not found")),
            ("GET", f"/task_runs/{task_run['id']}", None, 404, detail("Task not found")),
            ("GET", f"/block_documents/{infrastructure}", None, 404, detail("Block document not found")),
            ("GET", "/admin/storage", None, 200, {"default_result_storage_block_id": None}),
            ("GET", f"/deployments/{other}", None, 200),
            ("GET", f"/flow_runs/{theirs['id']}", None, 200),
        ],
    )
    assert [e["event"] for e in await rooms.events(f"prefect.deployment.{first}")][-1] == "prefect.deployment.deleted"


async def test_the_types_there_are_from_the_start(rooms: Rooms) -> None:
    await register_system_blocks(rooms.scope)
    capable = {
        **{f"{name}-repository": ["get-directory"] for name in ("bitbucket", "github", "gitlab")},
        **dict.fromkeys(("azure-blob-storage-container", "gcs-bucket", "s3-bucket"), FILES),
        **dict.fromkeys(("local-file-system", "remote-file-system", "smb"), FILES),
        "redis-database": ["read-path", "write-path"],
    }
    notifying = {
        "slack-webhook", "ms-teams-webhook", "pager-duty-webhook", "twilio-sms", "opsgenie-webhook",
        "mattermost-webhook", "discord-webhook", "custom-webhook", "sendgrid-email", "smtp-email",
    }  # fmt: skip
    types = {t["id"]: t for t in await rooms.post("/block_types/filter", {"block_schemas": {}})}
    schemas = await rooms.post("/block_schemas/filter", {"block_schemas": {"version": {"any_": ["3.8.8"]}}})
    assert len(schemas) == 56
    for schema in schemas:
        slug = types[schema["block_type_id"]]["slug"]
        expected = ["notify"] if slug in notifying else capable.get(slug, [])
        assert sorted(schema["capabilities"]) == expected, slug
    names = {t["slug"]: t["name"] for t in types.values()}
    assert names["gcpsecret"] == "GcpSecret"
    assert names["dbt-cli-profile"] == "dbt CLI Profile"


async def test_a_type_from_the_start_holds_blocks_of_another(rooms: Rooms) -> None:
    await register_system_blocks(rooms.scope)

    async def save(slug: str, name: str, data: JsonObject) -> JsonObject:
        block_type = await rooms.get(f"/block_types/slug/{slug}")
        of_type = {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}}
        (schema,) = await rooms.post("/block_schemas/filter", of_type)
        body = {"name": name, "data": data, "block_type_id": block_type["id"], "block_schema_id": schema["id"]}
        made: JsonObject = await rooms.post("/block_documents/", body, 201)
        return made

    signing = await save("aws-credentials", "sign-in", {"aws_secret_access_key": "hush"})
    bucket = await save(
        "s3-bucket", "bucket", {"bucket_name": "b", "credentials": {"$ref": {"block_document_id": signing["id"]}}}
    )
    assert bucket["data"] == {"bucket_name": "b", "credentials": {"aws_secret_access_key": MASK}}
    fields = bucket["block_schema"]["fields"]
    assert {"AwsCredentials", "MinIOCredentials", "AwsClientParameters"} <= fields["definitions"].keys()
    assert [r["block_type_slug"] for r in fields["block_schema_references"]["credentials"]] == [
        "aws-credentials",
        "minio-credentials",
    ]
    assert len(integration_types()) == 41


async def test_blocks_follow_a_change_of_the_key(rooms: Rooms, database: Database) -> None:
    first, second = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    kind = await Kind.new(rooms)
    made = await kind.save(n=1)  # under the key that the database keeps
    path = f"/block_documents/{made}"

    async def stored() -> str:
        return str(await rooms.scope.db.fetchval("SELECT data FROM block_document WHERE id = $1", made))

    def opens(key: str, text: str) -> bool:
        try:
            return bool(Fernet(key).decrypt(text.encode()))
        except InvalidToken:
            return False

    updated = (await rooms.get(path))["updated"]
    async with open_rooms(database, {"SEMPRE_SERVER_ENCRYPTION_KEY": first}) as configured:
        assert (await configured.get(path))["data"] == {"n": 1}
        assert await reencrypt(configured.scope) >= 1
        assert opens(first, await stored())
        assert (await configured.get(path))["updated"] == updated
    ready = {"SEMPRE_SERVER_ENCRYPTION_KEY": first, "SEMPRE_SERVER_ENCRYPTION_OLD_KEYS": second}
    changed = {"SEMPRE_SERVER_ENCRYPTION_KEY": second, "SEMPRE_SERVER_ENCRYPTION_OLD_KEYS": f" {first},"}
    async with open_rooms(database, ready) as older, open_rooms(database, changed) as newer:
        assert (await newer.get(path))["data"] == {"n": 1}
        await newer.patch(path, {"data": {"n": 2}})  # what is written is written under the key of today
        assert opens(second, await stored())
        assert (await older.get(path))["data"] == {"n": 2}
        await reencrypt(newer.scope)
        assert await reencrypt(newer.scope) == 0
        settings = await newer.get("/admin/settings")
        assert first not in str(settings)
        assert second not in str(settings)
    async with open_rooms(database, {"SEMPRE_SERVER_ENCRYPTION_KEY": second}) as final:
        assert (await final.get(path))["data"] == {"n": 2}


async def test_secrets_are_not_in_the_log(rooms: Rooms, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    kind = await Kind.new(rooms, "token")
    hush = "hush-4711"
    body = kind.body(name="quiet", data={"token": hush})
    await hold(
        rooms,
        [
            ("POST", "/block_documents/", body, 201),
            ("POST", "/block_documents/", body, 409),
            ("POST", "/block_documents/", {**body, "name": "q2", "block_schema_id": NOBODY}, 409, INTEGRITY),
            ("GET", f"/block_types/slug/{kind.slug}/block_documents?include_secrets=true", None, 200),
        ],
    )
    assert hush not in caplog.text
