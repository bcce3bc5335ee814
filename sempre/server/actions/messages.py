"""Actions that reach the outside: notifications and webhooks, through blocks that hold the address and the secrets."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx

from sempre.core.notifications import PROVIDERS, Mail, Message, Outgoing, Unusable, requests_for
from sempre.schemas.actions import CallWebhook, SendNotification
from sempre.server.actions.invocation import ActionFailed, Invocation
from sempre.server.actions.rendering import rendered_texts
from sempre.server.blocks.documents import read_documents
from sempre.server.errors import NotFound
from sempre.server.events.emit import ServerEvent, emit, named, resource
from sempre.server.outbound.addresses import PrivateAddress
from sempre.server.outbound.http import Answer, send
from sempre.server.outbound.mail import Refused, send_mail

__all__ = ["call_webhook", "notify"]

_WEBHOOK = "webhook"
_WEBHOOK_SECONDS = 30.0
_LONGEST_TOLD = 1000  # characters of an answer's body
# Headers of an answer that may tell of what stands between us and the service.
_UNTOLD = ("authorization", "traceparent", "via", "x-forwarded", "x-b3", "x-cloud-trace", "x-envoy", "x-prefect")

Document = dict[str, Any]


class _Undelivered(Exception):
    """The service could not be reached or could not take the message now."""


async def call_webhook(invocation: Invocation) -> None:
    """Send the rendered payload as it is. Any answer counts; where none comes it is sent again, under the same key."""
    action = invocation.action
    assert isinstance(action, CallWebhook)
    document = await _block(invocation, action.block_document_id, kind="webhook")
    if document["block_type"]["slug"] != _WEBHOOK:
        raise ActionFailed("The referenced block was not a webhook block")
    payload = (await rendered_texts(invocation, {"payload": action.payload}))["payload"]
    data = document["data"]
    try:
        request = _webhook_request(invocation, data, payload)
        answer = await send(
            request,
            timeout=_WEBHOOK_SECONDS,
            allow_private=bool(data.get("allow_private_urls", True)) and _may_be_private(invocation),
            verify=bool(data.get("verify", True)),
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, PrivateAddress) as error:
        raise ActionFailed(f"Webhook call failed: {error!r}") from error
    except (httpx.HTTPError, OSError) as error:
        if not invocation.is_last:
            raise _Undelivered(f"Webhook call failed: {error!r}") from error
        raise ActionFailed(f"Webhook call failed: {error!r}") from error
    invocation.details.update(
        status_code=answer.status_code,
        response_body=answer.text[:_LONGEST_TOLD],
        response_headers={
            name: value for name, value in answer.headers.items() if not name.lower().startswith(_UNTOLD)
        },
    )


def _webhook_request(invocation: Invocation, data: Document, payload: str) -> httpx.Request:
    url = data.get("url")
    if not url:
        raise ActionFailed("The webhook block was invalid: it has no url")
    # Whoever answers may tell by the key that a call is the same as one before.
    headers = {"Idempotency-Key": str(invocation.id), **(data.get("headers") or {})}
    return httpx.Request(str(data.get("method") or "POST"), str(url), headers=headers, content=payload.encode())


async def notify(invocation: Invocation) -> None:
    """Deliver a subject and a body to wherever the block says."""
    action = invocation.action
    assert isinstance(action, SendNotification)
    document = await _block(invocation, action.block_document_id, kind="notification")
    if "notify" not in document["block_schema"]["capabilities"]:
        raise ActionFailed("The referenced block was not a notification block")
    slug = document["block_type"]["slug"]
    if slug not in PROVIDERS:
        raise ActionFailed(f"The notification block was invalid: messages are not delivered to {slug!r} blocks")
    texts = await rendered_texts(invocation, {"subject": action.subject, "body": action.body})
    try:
        message = Message(texts["subject"], texts["body"], str(invocation.id))
        deliveries = [
            _delivery(one, may_be_private=_may_be_private(invocation))
            for one in requests_for(slug, document["data"], message)
        ]
    except (Unusable, httpx.InvalidURL, TypeError, ValueError) as error:
        raise ActionFailed(f"The notification block was invalid: {error}") from error
    for number, delivery in enumerate(deliveries):
        await _deliver(invocation, delivery, is_first=number == 0)


def _request(outgoing: Outgoing) -> httpx.Request:
    request = httpx.Request(
        outgoing.method,
        outgoing.url,
        params=outgoing.params,
        headers=dict(outgoing.headers),
        cookies=dict(outgoing.cookies) if outgoing.cookies else None,
        json=outgoing.json,
        data=dict(outgoing.form) if outgoing.form else None,
    )
    if outgoing.auth is not None:
        return next(httpx.BasicAuth(*outgoing.auth).auth_flow(request))
    return request


@dataclass(frozen=True, slots=True)
class _Request:
    outgoing: Outgoing
    request: httpx.Request

    async def problem(self) -> tuple[str, bool] | None:
        """What went wrong, and whether it may pass. Raises PrivateAddress, httpx.HTTPError, OSError."""
        answer = await send(self.request, timeout=self.outgoing.timeout, allow_private=self.outgoing.allow_private)
        if 200 <= answer.status_code < 300:
            return None
        return f"{self.host} answered {answer.status_code}: {answer.text[:_LONGEST_TOLD]}", _may_pass(answer)

    @property
    def host(self) -> str:
        return self.request.url.host


@dataclass(frozen=True, slots=True)
class _Mailing:
    mail: Mail

    async def problem(self) -> tuple[str, bool] | None:
        """What went wrong, and whether it may pass. Raises PrivateAddress, OSError."""
        try:
            await send_mail(self.mail)
        except Refused as refusal:
            return f"{self.host} answered: {str(refusal)[:_LONGEST_TOLD]}", refusal.may_pass
        except ValueError as error:  # an address that is none
            return str(error), False
        return None

    @property
    def host(self) -> str:
        return self.mail.host


def _delivery(one: Outgoing | Mail, *, may_be_private: bool) -> "_Request | _Mailing":
    bounded = replace(one, allow_private=one.allow_private and may_be_private)
    return _Mailing(bounded) if isinstance(bounded, Mail) else _Request(bounded, _request(bounded))


def _may_be_private(invocation: Invocation) -> bool:
    """Whether this server lets its users' messages into private networks at all."""
    return invocation.scope.settings.services.triggers.allow_private_urls


async def _deliver(invocation: Invocation, delivery: _Request | _Mailing, *, is_first: bool) -> None:
    """What may pass is tried again, as long as nobody has got the message yet."""
    try:
        wrong = await delivery.problem()
    except (PrivateAddress, httpx.UnsupportedProtocol) as error:
        wrong = str(error), False
    except (httpx.HTTPError, OSError) as error:
        wrong = f"{delivery.host}: {type(error).__name__}: {error}", True
    if wrong is None:
        return
    problem, may_pass = wrong
    if may_pass and is_first and not invocation.is_last:
        raise _Undelivered(problem)
    raise _failed(problem)


def _may_pass(answer: Answer) -> bool:
    return answer.status_code >= 500 or answer.status_code in (408, 425, 429)


def _failed(problem: str) -> ActionFailed:
    return ActionFailed("Notification failed", notification_log=problem)


async def _block(invocation: Invocation, id: UUID, *, kind: str) -> Document:
    """The block with its secrets, and an event that tells of its being read."""
    scope = invocation.scope
    try:
        documents = await read_documents(scope, [id], include_secrets=True)
    except ValueError as error:  # no key fits what is stored
        raise ActionFailed(f"The {kind} block was invalid: {error}") from error
    if not documents:
        raise NotFound("Block document not found")
    document = documents[0]
    slug, type_name = document["block_type"]["slug"], document["block_type"]["name"]
    invocation.touched("block", "block-document", id, document["name"])
    invocation.touched("block-type", "block-type", slug, type_name)
    loaded = ServerEvent(
        event=f"prefect.block.{slug}.loaded",
        resource=resource("block-document", id, document["name"]),
        related=[
            named("block-type", "block-type", slug),
            # By this an automation knows, and does not react to, what it did itself.
            named("automation", "automation", invocation.automation_id),
        ],
    )
    async with scope.db.transaction() as tx:
        await emit(tx, scope.workspace_id, loaded)
    return document
