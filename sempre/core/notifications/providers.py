"""How each service wants to be told, by the slug of the block type that holds its address and credentials.

Field names are the block's; the requests are those of each service's public API documentation.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from sempre.core.notifications.model import Mail, Message, Outgoing, Security, Unusable

__all__ = ["PROVIDERS", "requests_for"]

Data = Mapping[str, Any]
Provider = Callable[[Data, Message], list[Outgoing] | list[Mail]]

_SEVERITY = {"info": "info", "success": "info", "warning": "warning", "failure": "critical"}
_COLOUR = {"info": 0x3AA3E3, "success": 0x3AA337, "warning": 0xCACF29, "failure": 0xA32037}
# What each service cuts or refuses beyond.
_OPSGENIE_MESSAGE, _PAGERDUTY_SUMMARY, _DISCORD_DESCRIPTION, _SMS = 130, 1024, 4000, 1600
_SMTP_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
_CARD = "http://adaptivecards.io/schemas/adaptive-card.json"
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")


def requests_for(slug: str, data: Data, message: Message) -> list[Outgoing] | list[Mail]:
    """The requests, or mails, that deliver a message through a block. Raises Unusable."""
    return PROVIDERS[slug](data, message)


def _needed(data: Data, name: str) -> Any:
    value = data.get(name)
    if value in (None, "", []):
        raise Unusable(f"the block has no {name}")
    return value


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | tuple | set) else [str(value)]


def _kind(data: Data) -> str:
    kind = str(data.get("notify_type") or "info")
    return kind if kind in _SEVERITY else "info"


def _bold(message: Message) -> str:
    return f"*{message.subject}*\n{message.body}" if message.subject else message.body


def _private(data: Data) -> bool:
    return bool(data.get("allow_private_urls", True))


def slack(data: Data, message: Message) -> list[Outgoing]:
    return [Outgoing(_needed(data, "url"), json={"text": _bold(message)}, allow_private=_private(data))]


def teams(data: Data, message: Message) -> list[Outgoing]:
    """A workflow of Power Automate takes an adaptive card."""
    wrap = bool(data.get("wrap", True))
    blocks = [{"type": "TextBlock", "text": message.body, "wrap": wrap}]
    if message.subject:
        title = {"type": "TextBlock", "text": message.subject, "wrap": wrap, "weight": "bolder", "size": "medium"}
        blocks.insert(0, title)
    card = {"$schema": _CARD, "type": "AdaptiveCard", "version": "1.4", "body": blocks}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    content = {"type": "message", "attachments": [attachment]}
    return [Outgoing(_needed(data, "url"), json=content, allow_private=_private(data))]


def pager_duty(data: Data, message: Message) -> list[Outgoing]:
    """An event of version 2. With a subject that is the summary, and the body goes into the custom details."""
    details = dict(data.get("custom_details") or {})
    if message.subject:
        details["body"] = message.body
    payload = {
        "summary": (message.subject or message.body)[:_PAGERDUTY_SUMMARY],
        "severity": _SEVERITY[_kind(data)],
        "source": data.get("source") or "Prefect",
        "component": data.get("component") or "Notification",
        "group": data.get("group"),
        "class": data.get("class_id"),
        "custom_details": details or None,
    }
    event: dict[str, Any] = {
        "routing_key": _needed(data, "integration_key"),
        "event_action": "trigger",
        "payload": {name: value for name, value in payload.items() if value is not None},
    }
    if link := data.get("clickable_url"):
        event["links"] = [{"href": str(link), "text": str(link)}]
    headers = {"Authorization": f"Token token={data['api_key']}"} if data.get("api_key") else {}
    host = "events.eu.pagerduty.com" if data.get("region_name") == "eu" else "events.pagerduty.com"
    return [Outgoing(f"https://{host}/v2/enqueue", headers=headers, json=event)]


def opsgenie(data: Data, message: Message) -> list[Outgoing]:
    responders = [
        {"type": kind, ("username" if kind == "user" else "name"): name}
        for kind in ("user", "team", "schedule", "escalation")
        for name in _texts(data.get(f"target_{kind}"))
    ]
    alert = {
        "message": (message.subject or message.body)[:_OPSGENIE_MESSAGE],
        "description": message.body,
        "responders": responders or None,
        "tags": _texts(data.get("tags")) or None,
        "priority": f"P{data.get('priority') or 3}",
        "alias": data.get("alias"),
        "entity": data.get("entity"),
        "details": data.get("details"),
    }
    host = "api.eu.opsgenie.com" if data.get("region_name") == "eu" else "api.opsgenie.com"
    headers = {"Authorization": f"GenieKey {_needed(data, 'apikey')}"}
    content = {name: value for name, value in alert.items() if value is not None}
    return [Outgoing(f"https://{host}/v2/alerts", headers=headers, json=content)]


def mattermost(data: Data, message: Message) -> list[Outgoing]:
    """One request for each channel, or one to the webhook's own."""
    scheme = "https" if data.get("secure") else "http"
    path = str(data.get("path") or "").strip("/")
    base = f"{scheme}://{_needed(data, 'hostname')}:{data.get('port') or 8065}"
    url = "/".join(part for part in (base, path, "hooks", str(_needed(data, "token"))) if part)
    text = f"#### {message.subject}\n{message.body}" if message.subject else message.body
    content: dict[str, Any] = {"text": text}
    if data.get("botname"):
        content["username"] = data["botname"]
    channels = _texts(data.get("channels"))
    return [Outgoing(url, json={**content, "channel": channel.lstrip("#")}) for channel in channels] or [
        Outgoing(url, json=content)
    ]


def discord(data: Data, message: Message) -> list[Outgoing]:
    embed = {"title": message.subject[:256], "description": message.body[:_DISCORD_DESCRIPTION]}
    content: dict[str, Any] = {"tts": bool(data.get("tts")), "embeds": [{**embed, "color": _COLOUR[_kind(data)]}]}
    if data.get("botname"):
        content["username"] = data["botname"]
    if data.get("avatar_url"):
        content["avatar_url"] = str(data["avatar_url"])
    id, token = _needed(data, "webhook_id"), _needed(data, "webhook_token")
    return [Outgoing(f"https://discord.com/api/webhooks/{id}/{token}", params={"wait": "true"}, json=content)]


def twilio(data: Data, message: Message) -> list[Outgoing]:
    """One message for each number."""
    account, token = str(_needed(data, "account_sid")), str(_needed(data, "auth_token"))
    text = f"{message.subject}\n{message.body}".strip()[:_SMS]
    sender = str(_needed(data, "from_phone_number"))
    url = f"https://api.twilio.com/2010-04-01/Accounts/{account}/Messages.json"
    return [
        Outgoing(url, form={"From": sender, "To": number, "Body": text}, auth=(account, token))
        for number in _texts(_needed(data, "to_phone_numbers"))
    ]


def sendgrid(data: Data, message: Message) -> list[Outgoing]:
    content = {
        "personalizations": [{"to": [{"email": address} for address in _texts(_needed(data, "to_emails"))]}],
        "from": {"email": _needed(data, "sender_email")},
        "subject": message.subject or "Notification",
        "content": [{"type": "text/plain", "value": message.body or " "}],
    }
    headers = {"Authorization": f"Bearer {_needed(data, 'api_key')}"}
    return [Outgoing("https://api.sendgrid.com/v3/mail/send", headers=headers, json=content)]


def smtp(data: Data, message: Message) -> list[Mail]:
    """A mail to all recipients, taken by the server that the block names."""
    try:
        security = Security(data.get("security") or Security.STARTTLS)
        port = int(data.get("port") or _SMTP_PORTS[security])
    except ValueError as error:
        raise Unusable(str(error)) from error
    user = data.get("username")
    mail = Mail(
        host=str(_needed(data, "host")),
        port=port,
        security=security,
        sender=str(_needed(data, "sender")),
        recipients=tuple(_texts(_needed(data, "recipients"))),
        message=message,
        login=(str(user), str(data.get("password") or "")) if user else None,
        verify=bool(data.get("verify", True)),
        allow_private=_private(data),
    )
    return [mail]


def custom_webhook(data: Data, message: Message) -> list[Outgoing]:
    """Whatever the block says, with ``{{subject}}``, ``{{body}}``, ``{{name}}`` and its secrets filled in."""
    secrets = data.get("secrets") or {}
    values = {**secrets, "subject": message.subject, "body": message.body, "name": data.get("name") or ""}

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), value)
        if isinstance(value, Mapping):
            return {filled(key): filled(item) for key, item in value.items()}
        return [filled(item) for item in value] if isinstance(value, list) else value

    headers = {"User-Agent": "Prefect Notifications", **(filled(data.get("headers")) or {})}
    return [
        Outgoing(
            url=filled(_needed(data, "url")),
            method=str(data.get("method") or "POST"),
            headers=headers,
            params=filled(data.get("params")),
            json=filled(data.get("json_data")),
            form=filled(data.get("form_data")),
            cookies=filled(data.get("cookies")),
            timeout=float(data.get("timeout") or 10.0),
            allow_private=_private(data),
        )
    ]


PROVIDERS: dict[str, Provider] = {
    "custom-webhook": custom_webhook,
    "discord-webhook": discord,
    "mattermost-webhook": mattermost,
    "ms-teams-webhook": teams,
    "opsgenie-webhook": opsgenie,
    "pager-duty-webhook": pager_duty,
    "sendgrid-email": sendgrid,
    "slack-webhook": slack,
    "smtp-email": smtp,
    "twilio-sms": twilio,
}
