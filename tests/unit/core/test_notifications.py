"""Notifications as requests: what each service's public API asks for."""

from __future__ import annotations

from typing import Any

import pytest

from sempre.core.notifications import PROVIDERS, Mail, Message, Outgoing, Security, Unusable, requests_for

MESSAGE = Message("A subject", "The body", "an-id")
BODY_ONLY = Message("", "The body")


def one(slug: str, data: dict[str, Any], message: Message = MESSAGE) -> Outgoing:
    (outgoing,) = requests_for(slug, data, message)
    assert isinstance(outgoing, Outgoing)
    return outgoing


def test_slack_takes_a_text() -> None:
    outgoing = one("slack-webhook", {"url": "https://hooks.slack.com/services/a", "allow_private_urls": False})
    assert (outgoing.method, outgoing.url) == ("POST", "https://hooks.slack.com/services/a")
    assert outgoing.json == {"text": "*A subject*\nThe body"}
    assert not outgoing.allow_private
    assert one("slack-webhook", {"url": "u"}, BODY_ONLY).json == {"text": "The body"}


def test_teams_takes_an_adaptive_card() -> None:
    content = one("ms-teams-webhook", {"url": "https://flow.example/x", "wrap": False}).json
    assert content["type"] == "message"
    (attachment,) = content["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert card["type"] == "AdaptiveCard"
    assert [(block["type"], block["text"], block["wrap"]) for block in card["body"]] == [
        ("TextBlock", "A subject", False),
        ("TextBlock", "The body", False),
    ]
    content = one("ms-teams-webhook", {"url": "u"}, BODY_ONLY).json
    assert [block["text"] for block in content["attachments"][0]["content"]["body"]] == ["The body"]


def test_pager_duty_takes_an_event_of_version_2() -> None:
    data = {
        "integration_key": "R0", "api_key": "key", "notify_type": "failure", "source": "here", "group": "g",
        "class_id": "c", "clickable_url": "https://x.example", "custom_details": {"a": 1}, "region_name": "eu",
    }  # fmt: skip
    outgoing = one("pager-duty-webhook", data)
    assert outgoing.url == "https://events.eu.pagerduty.com/v2/enqueue"
    assert outgoing.json == {
        "routing_key": "R0",
        "event_action": "trigger",
        "payload": {
            "summary": "A subject",
            "severity": "critical",
            "source": "here",
            "component": "Notification",
            "group": "g",
            "class": "c",
            "custom_details": {"a": 1, "body": "The body"},
        },
        "links": [{"href": "https://x.example", "text": "https://x.example"}],
    }
    bare = one("pager-duty-webhook", {"integration_key": "R0", "api_key": "key"}, BODY_ONLY)
    assert bare.url == "https://events.pagerduty.com/v2/enqueue"
    assert bare.json["payload"]["summary"] == "The body"
    assert "custom_details" not in bare.json["payload"]
    long = one("pager-duty-webhook", {"integration_key": "R0"}, Message("x" * 2000, ""))
    assert len(long.json["payload"]["summary"]) == 1024


@pytest.mark.parametrize(
    ("kind", "severity"), [("info", "info"), ("success", "info"), ("warning", "warning"), ("failure", "critical")]
)
def test_severities_of_pager_duty(kind: str, severity: str) -> None:
    data = {"integration_key": "R0", "notify_type": kind}
    assert one("pager-duty-webhook", data).json["payload"]["severity"] == severity


def test_opsgenie_takes_an_alert() -> None:
    data = {
        "apikey": "key", "target_user": ["me@x.example"], "target_team": "ops", "tags": ["t"], "priority": 1,
        "alias": "a", "entity": "e", "details": {"k": "v"},
    }  # fmt: skip
    outgoing = one("opsgenie-webhook", data)
    assert outgoing.url == "https://api.opsgenie.com/v2/alerts"
    assert outgoing.headers["Authorization"] == "GenieKey key"
    assert outgoing.json == {
        "message": "A subject",
        "description": "The body",
        "responders": [{"type": "user", "username": "me@x.example"}, {"type": "team", "name": "ops"}],
        "tags": ["t"],
        "priority": "P1",
        "alias": "a",
        "entity": "e",
        "details": {"k": "v"},
    }
    eu = one("opsgenie-webhook", {"apikey": "key", "region_name": "eu"}, Message("s" * 200, "b"))
    assert eu.url == "https://api.eu.opsgenie.com/v2/alerts"
    assert eu.json == {"message": "s" * 130, "description": "b", "priority": "P3"}


def test_mattermost_takes_one_post_for_each_channel() -> None:
    data = {"hostname": "mm.example", "token": "t", "secure": True, "path": "/sub/", "port": 443, "botname": "bot"}
    outgoing = one("mattermost-webhook", data)
    assert outgoing.url == "https://mm.example:443/sub/hooks/t"
    assert outgoing.json == {"text": "#### A subject\nThe body", "username": "bot"}
    several = requests_for("mattermost-webhook", {"hostname": "h", "token": "t", "channels": ["#a", "b"]}, MESSAGE)
    assert [(each.url, each.json["channel"]) for each in several if isinstance(each, Outgoing)] == [
        ("http://h:8065/hooks/t", "a"),
        ("http://h:8065/hooks/t", "b"),
    ]


def test_discord_takes_an_embed() -> None:
    data = {"webhook_id": "1", "webhook_token": "t", "botname": "bot", "tts": True, "avatar_url": "https://x.example/a"}
    outgoing = one("discord-webhook", data)
    assert outgoing.url == "https://discord.com/api/webhooks/1/t"
    assert outgoing.params == {"wait": "true"}
    content = outgoing.json
    assert (content["username"], content["tts"], content["avatar_url"]) == ("bot", True, "https://x.example/a")
    assert [(embed["title"], embed["description"]) for embed in content["embeds"]] == [("A subject", "The body")]
    long = one("discord-webhook", data, Message("s" * 300, "b" * 9000)).json["embeds"][0]
    assert (len(long["title"]), len(long["description"])) == (256, 4000)


def test_twilio_takes_a_form_for_each_number() -> None:
    data = {"account_sid": "AC", "auth_token": "t", "from_phone_number": "+1", "to_phone_numbers": ["+2", "+3"]}
    sent = [each for each in requests_for("twilio-sms", data, MESSAGE) if isinstance(each, Outgoing)]
    assert [each.form for each in sent] == [
        {"From": "+1", "To": "+2", "Body": "A subject\nThe body"},
        {"From": "+1", "To": "+3", "Body": "A subject\nThe body"},
    ]
    assert {(each.url, each.auth) for each in sent} == {
        ("https://api.twilio.com/2010-04-01/Accounts/AC/Messages.json", ("AC", "t"))
    }


def test_sendgrid_takes_a_mail() -> None:
    outgoing = one("sendgrid-email", {"api_key": "k", "sender_email": "me@x.example", "to_emails": ["a@x.example"]})
    assert outgoing.url == "https://api.sendgrid.com/v3/mail/send"
    assert outgoing.headers["Authorization"] == "Bearer k"
    assert outgoing.json == {
        "personalizations": [{"to": [{"email": "a@x.example"}]}],
        "from": {"email": "me@x.example"},
        "subject": "A subject",
        "content": [{"type": "text/plain", "value": "The body"}],
    }


def test_a_custom_webhook_is_filled_in() -> None:
    data = {
        "name": "hook", "url": "https://x.example/{{token}}", "method": "PUT", "params": {"q": "{{subject}}"},
        "json_data": {"text": ["{{body}} of {{ name }}", 1], "{{subject}}": "{{unknown}}"},
        "headers": {"X-Key": "{{token}}"}, "cookies": {"c": "{{token}}"}, "timeout": 3, "allow_private_urls": False,
        "secrets": {"token": "{{body}}"},
    }  # fmt: skip
    outgoing = one("custom-webhook", data)
    assert outgoing == Outgoing(
        url="https://x.example/{{body}}",  # what is filled in is not looked at again
        method="PUT",
        headers={"User-Agent": "Prefect Notifications", "X-Key": "{{body}}"},
        params={"q": "A subject"},
        json={"text": ["The body of hook", 1], "A subject": "{{unknown}}"},
        cookies={"c": "{{body}}"},
        timeout=3.0,
        allow_private=False,
    )


def test_smtp_takes_a_mail() -> None:
    data = {"host": "mail.example", "sender": "me@x.example", "recipients": ["a@x.example", "b@x.example"]}
    assert requests_for("smtp-email", data, MESSAGE) == [
        Mail(
            host="mail.example",
            port=587,
            security=Security.STARTTLS,
            sender="me@x.example",
            recipients=("a@x.example", "b@x.example"),
            message=MESSAGE,
        )
    ]
    more = {"security": "tls", "username": "me", "password": "secret", "verify": False, "allow_private_urls": False}
    (mail,) = requests_for("smtp-email", {**data, **more}, MESSAGE)
    assert isinstance(mail, Mail)
    assert (mail.port, mail.security, mail.login) == (465, Security.TLS, ("me", "secret"))
    assert (mail.verify, mail.allow_private) == (False, False)
    with pytest.raises(Unusable, match="magic"):
        requests_for("smtp-email", {**data, "security": "magic"}, MESSAGE)


@pytest.mark.parametrize("slug", sorted(PROVIDERS))
def test_a_block_without_its_fields_is_unusable(slug: str) -> None:
    with pytest.raises(Unusable, match="the block has no "):
        requests_for(slug, {}, MESSAGE)
