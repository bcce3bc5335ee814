"""The block types that every server knows from the start: storage, secrets, webhooks and notifications."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sempre.core.block_schemas import checksum
from sempre.server.admin.versions import PROTOCOL_VERSION

__all__ = ["SYSTEM_TYPES", "SystemType"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemType:
    """A built-in type. ``properties`` are JSON schemas by field; protected types cannot be deleted.

    ``references`` says which types of blocks a field holds; their schemas are defined under their titles.
    """

    slug: str
    name: str
    description: str
    properties: dict[str, dict[str, Any]]
    required: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    protected: bool = False
    package: str = ""  # what a client installs to use it; none: nothing
    title: str = ""  # none: the name without its blanks
    definitions: Mapping[str, Any] = field(default_factory=dict)
    references: Mapping[str, tuple["SystemType", ...]] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """The schema as a client would register it."""
        properties = {
            name: {"title": name.replace("_", " ").capitalize(), "position": position, **schema}
            for position, (name, schema) in enumerate(self.properties.items())
        }
        for name in self.secrets:
            if name in properties:
                properties[name] = {**properties[name], "format": "password", "writeOnly": True}
        schema: dict[str, Any] = {
            "title": self.title or self.name.replace(" ", ""),
            "description": self.description,
            "type": "object",
            "properties": properties,
            "secret_fields": list(self.secrets),
            "block_type_slug": self.slug,
            "block_schema_references": {name: _named(types) for name, types in self.references.items()},
        }
        if self.required:
            schema["required"] = list(self.required)
        if self.definitions:
            schema["definitions"] = dict(self.definitions)
        return schema

    def metadata(self) -> dict[str, Any]:
        """The type with its schema, as a catalogue shows it."""
        fields = self.fields()
        return {
            "name": self.name,
            "slug": self.slug,
            "description": self.description,
            "logo_url": None,
            "documentation_url": None,
            "code_example": None,
            "is_protected": self.protected,
            "block_schema": {
                "checksum": checksum(fields),
                "fields": fields,
                "capabilities": list(self.capabilities),
                "version": PROTOCOL_VERSION,
            },
        }


def _named(types: tuple[SystemType, ...]) -> dict[str, str] | list[dict[str, str]]:
    """How a schema names the schemas it refers to: one, or several for a field that holds one of several."""
    named = [{"block_type_slug": type.slug, "block_schema_checksum": checksum(type.fields())} for type in types]
    return named[0] if len(named) == 1 else named


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _optional(description: str, type: str = "string", **more: Any) -> dict[str, Any]:
    return {"anyOf": [{"type": type, **more}, {"type": "null"}], "default": None, "description": description}


def _flag(description: str, default: bool) -> dict[str, Any]:
    return {"type": "boolean", "default": default, "description": description}


def _number(description: str, default: int) -> dict[str, Any]:
    return {"type": "integer", "default": default, "description": description}


def _texts(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description}


_FILES = ("get-directory", "put-directory", "read-path", "write-path")
_NOTIFY = ("notify",)
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_LEVEL: dict[str, Any] = {
    "notify_type": {
        "type": "string",
        "enum": ["info", "success", "warning", "failure"],
        "default": "info",
        "description": "How the message is marked.",
    }
}
_PRIVATE = _flag("Whether addresses of private networks may be called.", True)
_IMAGE = _flag("Whether the message shows an icon of its kind.", True)
_METHOD = {"type": "string", "enum": _METHODS, "default": "POST", "description": "The HTTP method."}
_ANY_OBJECT = {"type": "object", "additionalProperties": True}

SYSTEM_TYPES = (
    SystemType(
        slug="secret",
        name="Secret",
        description="One value that only those who ask for secrets get to see: a password, a token, a set of keys.",
        properties={"value": {"description": "What to keep: text or any JSON value."}},
        required=("value",),
        secrets=("value",),
        protected=True,
    ),
    SystemType(
        slug="webhook",
        name="Webhook",
        description="An address to call over HTTP, for automations and flows.",
        properties={
            "method": _METHOD,
            "url": _text("The address, with whatever secrets it carries."),
            "headers": {**_ANY_OBJECT, "description": "Headers of every call."},
            "allow_private_urls": _PRIVATE,
            "verify": _flag("Whether the certificate of the other side is checked.", True),
        },
        required=("url",),
        secrets=("url", "headers.*"),
        protected=True,
    ),
    SystemType(
        slug="local-file-system",
        name="Local File System",
        description="A directory of the machine that a run is on.",
        properties={"basepath": _optional("The directory; none: where the process runs.")},
        capabilities=_FILES,
        protected=True,
    ),
    SystemType(
        slug="remote-file-system",
        name="Remote File System",
        description="A directory of any store that fsspec knows.",
        properties={
            "basepath": _text("Address of the directory, with its scheme: s3://bucket/folder."),
            "settings": {**_ANY_OBJECT, "description": "Further arguments for fsspec."},
        },
        required=("basepath",),
        capabilities=_FILES,
    ),
    SystemType(
        slug="smb",
        name="SMB",
        description="A folder shared by a Windows or Samba server.",
        properties={
            "share_path": _text("The share, with a folder in it if need be: /share/folder."),
            "smb_host": _text("Name or address of the server."),
            "smb_username": _optional("Who to be."),
            "smb_password": _optional("That user's password."),
            "smb_port": _optional("Port of the server; none: 445.", "integer"),
        },
        required=("share_path", "smb_host"),
        secrets=("smb_username", "smb_password"),
        capabilities=_FILES,
    ),
    SystemType(
        slug="slack-webhook",
        name="Slack Webhook",
        description="Posts notifications to a Slack channel through an incoming webhook.",
        properties={
            **_LEVEL,
            "url": _text("Address of the incoming webhook."),
            "allow_private_urls": _PRIVATE,
        },
        required=("url",),
        secrets=("url",),
        capabilities=_NOTIFY,
    ),
    SystemType(
        slug="ms-teams-webhook",
        name="Microsoft Teams Webhook",
        description="Posts notifications to a Teams channel through a Power Automate workflow.",
        properties={
            **_LEVEL,
            "url": _text("Address of the workflow."),
            "allow_private_urls": _PRIVATE,
            "include_image": _IMAGE,
            "wrap": _flag("Whether long lines are wrapped.", True),
        },
        required=("url",),
        secrets=("url",),
        capabilities=_NOTIFY,
    ),
    SystemType(
        slug="pager-duty-webhook",
        name="Pager Duty Webhook",
        description="Raises PagerDuty events.",
        properties={
            **_LEVEL,
            "integration_key": _text("Key of the service's Events API v2 integration."),
            "api_key": _text("API key of the account."),
            "source": _optional("Where the event comes from."),
            "component": _optional("The part that is affected."),
            "group": _optional("The group that the part belongs to."),
            "class_id": _optional("The kind of event."),
            "region_name": {"type": "string", "enum": ["us", "eu"], "default": "us", "description": "The region."},
            "clickable_url": _optional("A link that the event shows."),
            "include_image": _IMAGE,
            "custom_details": _optional("Further details of the event.", "object", additionalProperties=True),
        },
        required=("integration_key", "api_key"),
        secrets=("integration_key", "api_key"),
        capabilities=_NOTIFY,
    ),
    SystemType(
        slug="twilio-sms",
        name="Twilio SMS",
        description="Sends notifications as text messages.",
        properties={
            **_LEVEL,
            "account_sid": _text("SID of the account."),
            "auth_token": _text("Token of the account."),
            "from_phone_number": _text("The number that sends."),
            "to_phone_numbers": _texts("The numbers that receive."),
        },
        required=("account_sid", "auth_token", "from_phone_number", "to_phone_numbers"),
        secrets=("auth_token",),
        capabilities=_NOTIFY,
    ),
    SystemType(
        slug="opsgenie-webhook",
        name="Opsgenie Webhook",
        description="Raises Opsgenie alerts.",
        properties={
            **_LEVEL,
            "apikey": _text("API key of the integration."),
            "target_user": _optional("Users to alert.", "array", items={"type": "string"}),
            "target_team": _optional("Teams to alert.", "array", items={"type": "string"}),
            "target_schedule": _optional("Schedules to alert.", "array", items={"type": "string"}),
            "target_escalation": _optional("Escalations to alert.", "array", items={"type": "string"}),
            "region_name": {"type": "string", "enum": ["us", "eu"], "default": "us", "description": "The region."},
            "batch": _flag("Whether several targets share one alert.", False),
            "tags": _optional("Tags of the alert.", "array", items={"type": "string"}),
            "priority": {**_number("From 1, low, to 5, emergency.", 3), "minimum": 1, "maximum": 5},
            "alias": _optional("A name by which alerts are told apart."),
            "entity": _optional("What the alert is about."),
            "details": _optional("Further details of the alert.", "object", additionalProperties=True),
        },
        required=("apikey",),
        secrets=("apikey",),
        capabilities=_NOTIFY,
    ),
    SystemType(
        slug="mattermost-webhook",
        name="Mattermost Webhook",
        description="Posts notifications to Mattermost channels through an incoming webhook.",
        properties={
            **_LEVEL,
            "hostname": _text("Name of the server."),
            "secure": _flag("Whether the server is called over TLS.", False),
            "token": _text("Token of the webhook."),
            "botname": _optional("The name that posts appear under."),
            "channels": _optional("The channels; none: the webhook's own.", "array", items={"type": "string"}),
            "include_image": _flag("Whether the message shows an icon of its kind.", False),
            "path": _optional("Path of the server below its name."),
            "port": _number("Port of the server.", 8065),
        },
        required=("hostname", "token"),
        secrets=("token",),
        capabilities=_NOTIFY,
    ),
    SystemType(
        slug="discord-webhook",
        name="Discord Webhook",
        description="Posts notifications to a Discord channel through a webhook.",
        properties={
            **_LEVEL,
            "webhook_id": _text("The first part of the webhook's address."),
            "webhook_token": _text("The second part of the webhook's address."),
            "botname": _optional("The name that posts appear under."),
            "tts": _flag("Whether posts are read out.", False),
            "include_image": _flag("Whether the message shows an icon of its kind.", False),
            "avatar": _flag("Whether the default picture is replaced.", False),
            "avatar_url": _optional("Address of the picture that posts show."),
        },
        required=("webhook_id", "webhook_token"),
        secrets=("webhook_id", "webhook_token"),
        capabilities=_NOTIFY,
    ),
    SystemType(
        slug="custom-webhook",
        name="Custom Webhook",
        description="Sends notifications to any HTTP service; subject, body, name and secrets are filled in.",
        properties={
            "name": _text("Name of the webhook."),
            "url": _text("The address; may contain placeholders.", examples=["https://hooks.example.com/{{token}}"]),
            "method": _METHOD,
            "params": _optional("Query parameters.", "object", additionalProperties=True),
            "json_data": _optional("A JSON body.", "object", additionalProperties=True),
            "form_data": _optional("A form as body.", "object", additionalProperties=True),
            "headers": _optional("Headers.", "object", additionalProperties=True),
            "cookies": _optional("Cookies.", "object", additionalProperties=True),
            "timeout": {"type": "number", "default": 10, "description": "Seconds to wait for an answer."},
            "allow_private_urls": _PRIVATE,
            "secrets": {**_ANY_OBJECT, "description": "Values of further placeholders, by name."},
        },
        required=("name", "url"),
        secrets=("secrets.*",),
        capabilities=_NOTIFY,
    ),
    SystemType(
        slug="sendgrid-email",
        name="Sendgrid Email",
        description="Sends notifications by mail through SendGrid.",
        properties={
            **_LEVEL,
            "api_key": _text("API key of the account."),
            "sender_email": _text("The address that sends."),
            "to_emails": _texts("The addresses that receive."),
        },
        required=("api_key", "sender_email", "to_emails"),
        secrets=("api_key",),
        capabilities=_NOTIFY,
    ),
    SystemType(
        slug="smtp-email",
        name="SMTP Email",
        description="Sends notifications by mail through any mail server.",
        properties={
            **_LEVEL,
            "host": _text("Name of the mail server."),
            "port": _optional("Port of the server; none: 587, 465 with tls, 25 without security.", "integer"),
            "security": {
                "type": "string",
                "enum": ["starttls", "tls", "none"],
                "default": "starttls",
                "description": "How the connection is protected.",
            },
            "username": _optional("Who to log in as; none: no login."),
            "password": _optional("That user's password."),
            "sender": _text("The address that sends."),
            "recipients": _texts("The addresses that receive."),
            "verify": _flag("Whether the server's certificate is checked.", True),
            "allow_private_urls": _PRIVATE,
        },
        required=("host", "sender", "recipients"),
        secrets=("password",),
        capabilities=_NOTIFY,
    ),
)
