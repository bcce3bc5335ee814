"""Notifications and webhooks, as they arrive at the other end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sempre.server.actions import rendering
from sempre.server.actions import runner as runner_module
from sempre.server.actions.runner import Runner
from sempre.server.blocks.system import register_system_blocks
from sempre.server.ids import new_id
from tests.integration.triggers.engine import Engine, automate, send
from tests.support.events import an_event
from tests.support.receiver import Receiver, receiving
from tests.support.rooms import Rooms, rooms
from tests.support.smtp import LOOPBACK, mail_server

__all__ = ["rooms"]

_ANY = {"type": "event", "posture": "Reactive", "expect": ["it.happened"], "threshold": 1, "within": 0}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_PAUSES", (0.0,))


async def _block(rooms: Rooms, slug: str, data: dict[str, Any]) -> str:
    await register_system_blocks(rooms.scope)
    kind = await rooms.get(f"/block_types/slug/{slug}")
    schemas = await rooms.post("/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}})
    body = {"name": "b", "data": data, "block_type_id": kind["id"], "block_schema_id": schemas[0]["id"]}
    document = await rooms.post("/block_documents/", body, status=201)
    return str(document["id"])


async def _fire(rooms: Rooms, action: dict[str, Any], attempts: int = 1) -> dict[str, Any]:
    """Let an event set off an automation. Returns the event that tells how its action ended."""
    engine = Engine(rooms.scope)
    await engine.drain()
    await automate(rooms.scope, _ANY, action)
    await send(rooms.scope, an_event(payload={"n": 7}))
    await engine.drain()
    for _ in range(attempts):
        await Runner(rooms.scope, new_id()).run_due()
    row = await rooms.scope.db.fetchrow(
        """
        SELECT event, related, payload FROM event
        WHERE event IN ('prefect.automation.action.executed', 'prefect.automation.action.failed') ORDER BY seq
        """
    )
    return {} if row is None else dict(row)


async def test_a_webhook_carries_the_payload_as_it_is(rooms: Rooms, receiver: Receiver) -> None:
    block = await _block(rooms, "webhook", {"url": f"{receiver.url}/hook", "method": "PUT", "headers": {"X-Key": "k"}})
    payload = {"text": "n is {{ event.payload.n }}"}
    ended = await _fire(rooms, {"type": "call-webhook", "block_document_id": block, "payload": payload})
    assert ended["event"] == "prefect.automation.action.executed", ended
    (request,) = receiver.requests
    assert (request.method, request.path, request.headers["X-Key"]) == ("PUT", "/hook", "k")
    assert json.loads(request.body) == {"text": "n is 7"}
    assert "Content-Type" not in request.headers
    assert request.headers["Idempotency-Key"] == ended["payload"]["invocation"]
    assert ended["payload"]["status_code"] == 200
    assert ended["payload"]["response_body"] == "received"
    assert not any(name.lower().startswith("x-forwarded") for name in ended["payload"]["response_headers"])
    assert [resource["prefect.resource.role"] for resource in ended["related"]][:2] == ["block", "block-type"]
    loaded = await rooms.scope.db.fetchval("SELECT count(*) FROM event WHERE event = 'prefect.block.webhook.loaded'")
    assert loaded == 1


async def test_any_answer_to_a_webhook_counts(rooms: Rooms, receiver: Receiver) -> None:
    receiver.answers = [500]
    block = await _block(rooms, "webhook", {"url": receiver.url})
    ended = await _fire(rooms, {"type": "call-webhook", "block_document_id": block})
    assert ended["event"] == "prefect.automation.action.executed"
    assert ended["payload"]["status_code"] == 500


async def test_a_webhook_without_an_answer_is_called_again_under_the_same_key(rooms: Rooms, receiver: Receiver) -> None:
    receiver.answers = [0, 0]
    block = await _block(rooms, "webhook", {"url": receiver.url})
    ended = await _fire(rooms, {"type": "call-webhook", "block_document_id": block}, attempts=3)
    assert ended["event"] == "prefect.automation.action.executed", ended
    assert [request.headers["Idempotency-Key"] for request in receiver.requests] == 3 * [ended["payload"]["invocation"]]


async def test_a_webhook_that_is_never_answered_fails_in_the_end(rooms: Rooms, receiver: Receiver) -> None:
    receiver.answers = [0] * 10
    block = await _block(rooms, "webhook", {"url": receiver.url})
    ended = await _fire(rooms, {"type": "call-webhook", "block_document_id": block}, attempts=8)
    assert ended["event"] == "prefect.automation.action.failed"
    assert ended["payload"]["reason"].startswith("Webhook call failed: ")
    assert len(receiver.requests) == 4


async def test_a_private_network_can_be_out_of_bounds(rooms: Rooms, receiver: Receiver) -> None:
    block = await _block(rooms, "webhook", {"url": receiver.url, "allow_private_urls": False})
    ended = await _fire(rooms, {"type": "call-webhook", "block_document_id": block})
    assert ended["event"] == "prefect.automation.action.failed"
    assert ended["payload"]["reason"].startswith("Webhook call failed: PrivateAddress")
    assert receiver.requests == []


@pytest.mark.parametrize("slug", ["webhook", "mattermost-webhook", "smtp-email"])
async def test_a_server_can_keep_all_messages_out_of_private_networks(
    rooms: Rooms, receiver: Receiver, slug: str
) -> None:
    """Whatever their blocks say."""
    triggers = replace(rooms.scope.settings.services.triggers, allow_private_urls=False)
    services = replace(rooms.scope.settings.services, triggers=triggers)
    rooms.scope = replace(rooms.scope, settings=replace(rooms.scope.settings, services=services))
    data: dict[str, Any] = {
        "webhook": {"url": receiver.url, "allow_private_urls": True},
        "mattermost-webhook": {"hostname": "127.0.0.1", "port": receiver.port, "token": "t"},
        "smtp-email": {"host": "127.0.0.1", "port": receiver.port, "sender": "a@b.test", "recipients": ["c@d.test"]},
    }[slug]
    block = await _block(rooms, slug, data)
    action: dict[str, Any] = {"type": "send-notification", "block_document_id": block, "body": "b"}
    if slug == "webhook":
        action = {"type": "call-webhook", "block_document_id": block}
    ended = await _fire(rooms, action)
    assert ended["event"] == "prefect.automation.action.failed"
    assert "private address" in str(ended["payload"])
    assert receiver.requests == []


async def test_a_notification_is_tried_again_while_its_service_is_away(rooms: Rooms, receiver: Receiver) -> None:
    receiver.answers = [503, 503]
    block = await _block(rooms, "slack-webhook", {"url": receiver.url, "notify_type": "info"})
    action = {
        "type": "send-notification",
        "block_document_id": block,
        "subject": "About {{ automation.name }}",
        "body": "n is {{ event.payload.n }}",
    }
    ended = await _fire(rooms, action, attempts=3)
    assert ended["event"] == "prefect.automation.action.executed", ended
    assert len(receiver.requests) == 3
    assert json.loads(receiver.requests[-1].body) == {"text": "*About an automation*\nn is 7"}


async def test_a_notification_that_cannot_be_delivered_fails_in_the_end(rooms: Rooms, receiver: Receiver) -> None:
    receiver.answers = [500] * 10
    data = {
        "name": "hook",
        "url": receiver.url,
        "method": "POST",
        "json_data": {"text": "{{subject}} {{body}} {{key}}"},
    }
    block = await _block(rooms, "custom-webhook", {**data, "secrets": {"key": "secret"}})
    action = {"type": "send-notification", "block_document_id": block, "subject": "s", "body": "b"}
    ended = await _fire(rooms, action, attempts=8)
    assert ended["event"] == "prefect.automation.action.failed"
    assert ended["payload"]["reason"] == "Notification failed"
    assert len(receiver.requests) == 4
    assert json.loads(receiver.requests[0].body) == {"text": "s b secret"}


async def test_the_wrong_kind_of_block_is_told(rooms: Rooms, receiver: Receiver) -> None:
    block = await _block(rooms, "secret", {"value": "x"})
    ended = await _fire(rooms, {"type": "call-webhook", "block_document_id": block})
    assert ended["payload"]["reason"] == "The referenced block was not a webhook block"


async def test_a_notification_goes_by_mail(rooms: Rooms) -> None:
    """Tried again while the server is busy, under the same id."""
    async with mail_server() as server:
        server.answers["DATA"] = "451 later"
        data = {"host": LOOPBACK, "port": server.port, "security": "none", "username": "me", "password": "pa55-w0rd"}
        block = await _block(rooms, "smtp-email", {**data, "sender": "a@mail.test", "recipients": ["b@mail.test"]})
        action = {"type": "send-notification", "block_document_id": block, "body": "n is {{ event.payload.n }}"}
        assert await _fire(rooms, action) == {}
        server.answers.clear()
        await Runner(rooms.scope, new_id()).run_due()
    (mail,) = server.mails
    row = await rooms.scope.db.fetchrow("SELECT id, status FROM automation_action")
    assert row is not None
    assert row["status"] == "done"
    assert mail["Message-ID"] == f"<{row['id']}@mail.test>"
    assert mail["Subject"] == "Prefect automated notification"
    assert str(mail.get_payload()).strip() == "n is 7"
    assert server.logins == [("me", "pa55-w0rd")] * 2
    told = await rooms.scope.db.fetchval("SELECT string_agg(payload::text, '') FROM event")
    assert "pa55-w0rd" not in told


async def test_a_template_that_cannot_be_rendered_is_told(rooms: Rooms, receiver: Receiver) -> None:
    block = await _block(rooms, "slack-webhook", {"url": receiver.url})
    action = {"type": "send-notification", "block_document_id": block, "body": "{{ 1 / 0 }}"}
    ended = await _fire(rooms, action)
    assert ended["payload"]["reason"] == "Template rendering failed: ZeroDivisionError('division by zero')"
    assert ended["payload"]["template_error"] == "division by zero"
    assert ended["payload"]["template_source"] == "{{ 1 / 0 }}"
    assert receiver.requests == []


async def test_a_template_that_takes_too_long_is_given_up(
    rooms: Rooms, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "_LONGEST_SECONDS", 0.0)
    block = await _block(rooms, "slack-webhook", {"url": receiver.url})
    loops = "{% for a in range(90) %}{% for b in range(90) %}{{ a * b }}{% endfor %}{% endfor %}"
    ended = await _fire(rooms, {"type": "send-notification", "block_document_id": block, "body": loops})
    assert ended["payload"]["reason"].startswith("Template rendering failed: 'rendering takes longer than")
    assert receiver.requests == []


@pytest.mark.parametrize(("slug", "data"), [("custom-webhook", {"name": "x"}), ("slack-webhook", {})])
async def test_a_block_that_lacks_something_is_told(rooms: Rooms, slug: str, data: dict[str, Any]) -> None:
    block = await _block(rooms, slug, data)
    ended = await _fire(rooms, {"type": "send-notification", "block_document_id": block, "body": "b"})
    assert ended["payload"]["reason"] == "The notification block was invalid: the block has no url"


async def test_a_block_that_notifies_nobody_is_told(rooms: Rooms) -> None:
    block = await _block(rooms, "webhook", {"url": "http://x.example"})
    ended = await _fire(rooms, {"type": "send-notification", "block_document_id": block, "body": "b"})
    assert ended["payload"]["reason"] == "The referenced block was not a notification block"
